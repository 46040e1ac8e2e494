// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernels DEVICE KIND REPETITIONS: measure MAP, all addresses and UNMAP of 1 GiB on
 * any kernel with GET_PA, and a loop of single calls on one page. Also print the
 * memory of the page table.
 *
 * The first and last page of each extent are compared with /proc/self/pagemap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest.h"
#include "ioas.h"

#define PAGE	4096UL
#define PAGES	(GIB / PAGE)
#define CALLS	20000UL

static struct noiommu_get_pa_extent extents[PAGES];
static size_t num_extents;
static uint64_t entries[PAGES];
static struct memory mem;

static void read_pagemap(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, entries, sizeof(entries),
			    (uintptr_t)mem.addr / PAGE * sizeof(*entries)) !=
			    sizeof(entries))
		fail("cannot read pagemap: %s", strerror(errno));
	close(fd);
}

static uint64_t page_pa(size_t page)
{
	return (entries[page] & ((1ULL << 55) - 1)) * PAGE;
}

/* Only the fields that all kernels with the ioctl support */
static void get_pa(size_t offset, size_t length, struct noiommu_get_pa_extent *extent)
{
	struct noiommu_get_pa get = {
		.size = offsetof(struct noiommu_get_pa, extents_uptr),
		.ioas_id = iommu.ioas_id,
		.iova = (uintptr_t)mem.addr + offset,
		.length = length,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
		fail("IOMMU_IOAS_NOIOMMU_GET_PA: %s", strerror(errno));
	extent->phys = get.out_phys;
	extent->length = get.length;
}

static void single(void)
{
	size_t done;

	num_extents = 0;
	for (done = 0; done < GIB; done += extents[num_extents++].length)
		get_pa(done, GIB - done, &extents[num_extents]);
}

static void array(void)
{
	size_t done = 0;

	num_extents = 0;
	while (done < GIB)
		num_extents += get_extents((uintptr_t)mem.addr + done, GIB - done,
					   extents + num_extents,
					   PAGES - num_extents, &done);
}

static bool has_array(void)
{
	struct noiommu_get_pa get = {
		.size = sizeof(get),
		.ioas_id = iommu.ioas_id,
		.iova = (uintptr_t)mem.addr,
		.length = PAGE,
		.extents_uptr = (uintptr_t)extents,
		.num_extents = 1,
	};

	if (!ioctl(iommu.fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
		return true;
	if (errno != E2BIG)
		fail("IOMMU_IOAS_NOIOMMU_GET_PA of an array: %s", strerror(errno));
	return false;
}

static void check(void)
{
	size_t i, page = 0, last;

	for (i = 0; i < num_extents; i++) {
		last = page + extents[i].length / PAGE - 1;
		if (last >= PAGES || extents[i].phys != page_pa(page) ||
		    extents[i].phys + (last - page) * PAGE != page_pa(last))
			fail("wrong address of page %zu", page);
		page = last + 1;
	}
	if (page != PAGES)
		fail("%zu of %zu pages", page, PAGES);
}

static void map(void)
{
	ioas_map(mem.addr, GIB, (uintptr_t)mem.addr);
}

static void unmap(void)
{
	ioas_unmap((uintptr_t)mem.addr, GIB);
}

static void one_page(void)
{
	struct noiommu_get_pa_extent extent;
	unsigned long i;

	for (i = 0; i < CALLS; i++) {
		get_pa(0, PAGE, &extent);
		if (extent.phys != page_pa(0))
			fail("wrong address");
	}
}

/* Page tables are counted as one or the other, a small one maybe not at once */
static long table_kib(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "r");
	long kib, sum = 0;
	char line[128];

	while (meminfo && fgets(line, sizeof(line), meminfo))
		if (sscanf(line, "Slab: %ld", &kib) == 1 ||
		    sscanf(line, "SecPageTables: %ld", &kib) == 1)
			sum += kib;
	if (!sum)
		fail("cannot read /proc/meminfo");
	fclose(meminfo);
	return sum;
}

static void measure(struct samples *samples, void (*call)(void))
{
	uint64_t start = now_ns();

	call();
	add_sample(samples, now_ns() - start);
}

int main(int argc, char **argv)
{
	static struct samples maps, singles, arrays, unmaps, pages;
	size_t num_single = 0;
	int repetitions;
	long kib;

	if (argc != 4)
		fail("usage: kernels DEVICE KIND REPETITIONS");
	open_device(argv[1]);
	mem = alloc_memory(argv[2], GIB);
	read_pagemap();
	kib = table_kib();
	map();
	kib = table_kib() - kib;
	unmap();
	printf("{\"measure\": \"table\", \"kind\": \"%s\", \"bytes\": %lu, \"table_bytes\": %ld}\n",
	       mem.kind, GIB, kib * 1024);
	for (repetitions = atoi(argv[3]); repetitions; repetitions--) {
		measure(&maps, map);
		measure(&singles, single);
		check();
		num_single = num_extents;
		if (has_array()) {
			measure(&arrays, array);
			check();
		}
		measure(&pages, one_page);
		measure(&unmaps, unmap);
	}
	print_samples("map", mem.kind, GIB, 1, &maps);
	print_samples("get_pa", mem.kind, GIB, num_single, &singles);
	if (arrays.num)
		print_samples("get_pa_array", mem.kind, GIB, num_extents, &arrays);
	print_samples("one_page", mem.kind, PAGE, CALLS, &pages);
	print_samples("unmap", mem.kind, GIB, 1, &unmaps);
	return 0;
}
