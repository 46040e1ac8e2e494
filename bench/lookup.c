// SPDX-License-Identifier: GPL-2.0-only
/*
 * lookup DEVICE KIND MIN-MIB MAX-MIB REPETITIONS: how long does it take to learn
 * all physical addresses of memory, in each way that there is?
 *
 * Each answer of each method is compared with /proc/self/pagemap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"
#include "ioas.h"

#define PAGE		4096UL
#define PFN(entry)	((entry) & ((1ULL << 55) - 1))
#define PRESENT		(1ULL << 63)
#define MIN_SAMPLE_NS	2000000		/* shorter ones are repeated */

static struct memory mem;
static size_t bytes;			/* of mem, that are looked up */
static int pagemap;
static unsigned long tables_before;	/* without those of the IOAS */
static uint64_t *reference;		/* pagemap entries of the pages */
static uint64_t *entries;		/* the answer, as pagemap gives it */
static struct iommu_noiommu_extent *extents;	/* or as GET_PA does */
static size_t num_extents;

static void one_call_per_extent(unsigned long cmd)
{
	size_t done = 0;

	for (num_extents = 0; done < bytes; num_extents++) {
		get_extent(cmd, (uintptr_t)mem.addr + done, bytes - done,
			   &extents[num_extents]);
		done += extents[num_extents].length;
	}
}

static void single(void)
{
	one_call_per_extent(IOMMU_IOAS_NOIOMMU_GET_PA);
}

static void naive(void)
{
	one_call_per_extent(IOMMU_IOAS_NOIOMMU_BENCH_NAIVE);
}

static void array(void)
{
	size_t done = 0;

	num_extents = 0;
	while (done < bytes)
		num_extents += get_extents((uintptr_t)mem.addr + done,
					   bytes - done, extents + num_extents,
					   bytes / PAGE - num_extents, &done);
}

static void read_pagemap(uint64_t *to, size_t first, size_t num)
{
	size_t length = num * sizeof(*to);
	off_t offset = ((uintptr_t)mem.addr / PAGE + first) * sizeof(*to);

	if (pread(pagemap, to, length, offset) != (ssize_t)length)
		fail("cannot read pagemap: %s", strerror(errno));
}

static void pagemap_bulk(void)
{
	read_pagemap(entries, 0, bytes / PAGE);
}

static void pagemap_pread(void)
{
	size_t i;

	for (i = 0; i < bytes / PAGE; i++)
		read_pagemap(&entries[i], i, 1);
}

static void empty(void)
{
	size_t i;

	for (i = 0; i < 1000; i++)
		empty_ioctl();
}

static void syscall_only(void)
{
	size_t i;

	for (i = 0; i < 1000; i++)
		syscall(SYS_getppid);
}

static const struct method {
	const char *name;
	void (*run)(void);
	enum { NOTHING, EXTENTS, PAGES } answer;
} methods[] = {
	{ "get_pa", single, EXTENTS },
	{ "get_pa_array", array, EXTENTS },
	{ "naive", naive, EXTENTS },
	{ "pagemap_bulk", pagemap_bulk, PAGES },
	{ "pagemap_pread", pagemap_pread, PAGES },
	{ "empty_ioctl", empty, NOTHING },
	{ "syscall", syscall_only, NOTHING },
};

/* As many extents as there must be, each as long as it can be, at the right address */
static void check_extents(const char *name)
{
	size_t i, page = 0, end;

	for (i = 0; i < num_extents; i++) {
		end = page + extents[i].length / PAGE;
		if (extents[i].phys != PFN(reference[page]) * PAGE)
			fail("%s: wrong address of page %zu", name, page);
		for (page++; page < end; page++) {
			if (PFN(reference[page]) != PFN(reference[page - 1]) + 1)
				fail("%s: page %zu does not continue the extent",
				     name, page);
		}
		if (page < bytes / PAGE &&
		    PFN(reference[page]) == PFN(reference[page - 1]) + 1)
			fail("%s: the extent ends early, at page %zu", name,
			     page);
	}
	if (page != bytes / PAGE)
		fail("%s: %zu of %zu pages", name, page, bytes / PAGE);
}

static void check(const struct method *method)
{
	if (method->answer == EXTENTS)
		check_extents(method->name);
	else if (method->answer == PAGES &&
		 memcmp(entries, reference, bytes / PAGE * sizeof(*entries)))
		fail("%s: wrong addresses", method->name);
}

/* Time of one run; what is short is run several times */
static double measure(const struct method *method)
{
	uint64_t start, elapsed;
	unsigned int runs = 0;

	memset(extents, 0, bytes / PAGE * sizeof(*extents));
	memset(entries, 0, bytes / PAGE * sizeof(*entries));
	start = now_ns();
	do {
		method->run();
		runs++;
		elapsed = now_ns() - start;
	} while (elapsed < MIN_SAMPLE_NS);
	check(method);
	return (double)elapsed / runs;
}

static void read_reference(void)
{
	size_t i;

	read_pagemap(reference, 0, bytes / PAGE);
	for (i = 0; i < bytes / PAGE; i++) {
		if (!(reference[i] & PRESENT) || !PFN(reference[i]))
			fail("pagemap does not tell the address of page %zu", i);
	}
}

static unsigned long table_pages(void)
{
	char line[128];
	unsigned long pages;
	FILE *file;
	int fd;

	/* The counters are per CPU until this is written */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		fail("cannot refresh vmstat: %s", strerror(errno));
	close(fd);
	file = fopen("/proc/vmstat", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nr_iommu_pages %lu", &pages) == 1) {
			fclose(file);
			return pages;
		}
	}
	fail("there is no nr_iommu_pages in /proc/vmstat");
}

/* Is it what it says? Scattered means that nearly no page continues the one before. */
static void show_layout(void)
{
	uint64_t sizes, num_entries;
	size_t pages = bytes / mem.page;

	array();
	num_entries = count_entries((uintptr_t)mem.addr, bytes, &sizes);
	printf("{\"measure\":\"layout\",\"kind\":\"%s\",\"bytes\":%zu,\"page\":%zu,\"extents\":%zu,\"entries\":%llu,\"largest\":%llu,\"table_bytes\":%lu}\n",
	       mem.kind, bytes, mem.page, num_extents,
	       (unsigned long long)num_entries,
	       1ULL << (63 - __builtin_clzll(sizes)),
	       (table_pages() - tables_before) * PAGE);
	if (pages >= 16 && num_extents < pages * 95 / 100)
		fail("%s: %zu pages in only %zu extents are not scattered",
		     mem.kind, pages, num_extents);
}

static void measure_all(unsigned int repetitions)
{
	static struct samples samples[ARRAY_SIZE(methods)];
	uint64_t count;
	size_t i, r;

	read_reference();
	ioas_map(mem.addr, bytes, (uintptr_t)mem.addr);
	show_layout();
	/* Side by side: what disturbs the machine for a while disturbs them all */
	for (r = 0; r < repetitions; r++) {
		for (i = 0; i < ARRAY_SIZE(methods); i++)
			add_sample(&samples[i], measure(&methods[i]));
	}
	for (i = 0; i < ARRAY_SIZE(methods); i++) {
		count = methods[i].answer == EXTENTS ? num_extents :
			methods[i].answer == PAGES ? bytes / PAGE : 1000;
		print_samples(methods[i].name, mem.kind, bytes, count,
			      &samples[i]);
		samples[i].num = 0;
	}
	ioas_unmap((uintptr_t)mem.addr, bytes);
}

int main(int argc, char **argv)
{
	size_t min, max;

	if (argc != 6)
		fail("usage: lookup DEVICE KIND MIN-MIB MAX-MIB REPETITIONS");
	tables_before = table_pages();
	open_device(argv[1]);
	min = strtoul(argv[3], NULL, 0) * MIB;
	max = strtoul(argv[4], NULL, 0) * MIB;
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	reference = malloc(max / PAGE * sizeof(*reference));
	entries = malloc(max / PAGE * sizeof(*entries));
	extents = malloc(max / PAGE * sizeof(*extents));
	if (pagemap < 0 || !reference || !entries || !extents)
		fail("cannot open pagemap, or no memory");

	mem = alloc_memory(argv[2], max);
	for (bytes = min; bytes <= max; bytes *= 4)
		measure_all(strtoul(argv[5], NULL, 0));
	return 0;
}
