// SPDX-License-Identifier: GPL-2.0-only
/*
 * lookup DEVICE KIND MIN-MIB MAX-MIB REPETITIONS: measure each method to read all
 * physical addresses of memory.
 *
 * Each result of each method is compared with /proc/self/pagemap.
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
#define BULK_PAGES	4096UL		/* per read; the same as the array form */
#define PIECE_NS	200000
#define MIN_PIECES	5

static struct memory mem;
static size_t bytes;			/* of mem to look up */
static int pagemap;
static unsigned long tables_before;	/* without those of the IOAS */
static uint64_t *reference;		/* pagemap entries of the pages */
static uint64_t *entries;		/* result in the format of pagemap */
static struct noiommu_get_pa_extent *extents_room;
static struct noiommu_get_pa_extent *extents;	/* or of GET_PA, within extents_room */
static size_t num_extents;
static size_t done;			/* bytes of the result so far */
static size_t passes;			/* complete results so far */

static size_t one_extent(unsigned long cmd)
{
	struct noiommu_get_pa_extent *extent = &extents[num_extents++];

	get_extent(cmd, (uintptr_t)mem.addr + done, bytes - done, extent);
	done += extent->length;
	return 1;
}

static size_t single(void)
{
	return one_extent(IOMMU_IOAS_NOIOMMU_GET_PA);
}

static size_t naive(void)
{
	return one_extent(IOMMU_IOAS_NOIOMMU_BENCH_NAIVE);
}

static size_t array(void)
{
	size_t num = get_extents((uintptr_t)mem.addr + done, bytes - done,
				 extents + num_extents,
				 bytes / PAGE - num_extents, &done);

	num_extents += num;
	return num;
}

static void read_pagemap(uint64_t *to, size_t first, size_t num)
{
	size_t length = num * sizeof(*to);
	off_t offset = ((uintptr_t)mem.addr / PAGE + first) * sizeof(*to);

	if (pread(pagemap, to, length, offset) != (ssize_t)length)
		fail("cannot read pagemap: %s", strerror(errno));
}

static size_t pagemap_pages(size_t num)
{
	read_pagemap(&entries[done / PAGE], done / PAGE, num);
	done += num * PAGE;
	return num;
}

static size_t pagemap_bulk(void)
{
	return pagemap_pages(BULK_PAGES);
}

static size_t pagemap_pread(void)
{
	return pagemap_pages(1);
}

/* As in DPDK, once per huge page */
static size_t pagemap_open(void)
{
	size_t page = done / PAGE;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 ||
	    lseek(fd, ((uintptr_t)mem.addr / PAGE + page) * sizeof(*entries),
		  SEEK_SET) < 0 ||
	    read(fd, &entries[page], sizeof(*entries)) != sizeof(*entries) ||
	    close(fd))
		fail("cannot read pagemap: %s", strerror(errno));
	done += mem.page < bytes - done ? mem.page : bytes - done;
	return 1;
}

static size_t empty(void)
{
	empty_ioctl();
	done = bytes;
	return 1;
}

static size_t syscall_only(void)
{
	syscall(SYS_getppid);
	done = bytes;
	return 1;
}

/* A call continues at @done, and returns the number of items it added */
static const struct method {
	const char *name;
	size_t (*call)(void);
	enum { NOTHING, EXTENTS, PAGES, HUGE_PAGES } answer;
} methods[] = {
	{ "get_pa", single, EXTENTS },
	{ "get_pa_array", array, EXTENTS },
	{ "naive", naive, EXTENTS },
	{ "pagemap_bulk", pagemap_bulk, PAGES },
	{ "pagemap_pread", pagemap_pread, PAGES },
	{ "empty_ioctl", empty, NOTHING },
	{ "syscall", syscall_only, NOTHING },
	{ "pagemap_open", pagemap_open, HUGE_PAGES },	/* the last: not for 4 KiB */
};

/* Check that the extents have the expected number, maximum length and addresses */
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

static void check_pages(const char *name, size_t step)
{
	size_t i;

	for (i = 0; i < bytes / PAGE; i += step)
		if (entries[i] != reference[i])
			fail("%s: wrong address of page %zu", name, i);
}

static void check(const struct method *method)
{
	if (method->answer == EXTENTS)
		check_extents(method->name);
	else if (method->answer == PAGES)
		check_pages(method->name, 1);
	else if (method->answer == HUGE_PAGES)
		check_pages(method->name, mem.page / PAGE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Time per item of several calls; start again after a complete result */
static double time_calls(const struct method *method, unsigned long calls,
			 uint64_t *elapsed)
{
	uint64_t start = now_ns();
	size_t items = 0;

	while (calls--) {
		if (done == bytes) {
			done = num_extents = 0;
			passes++;
		}
		items += method->call();
	}
	*elapsed = now_ns() - start;
	return (double)*elapsed / items;
}

/*
 * Time per item of a complete result: the median of its pieces. They are short
 * because other processes of the host interrupt the guest for milliseconds.
 */
static double measure(const struct method *method)
{
	static double pieces[1 << 16];
	unsigned long calls = 1;
	uint64_t elapsed;
	size_t num = 0;

	memset(extents, 0, bytes / PAGE * sizeof(*extents));
	memset(entries, 0, bytes / PAGE * sizeof(*entries));
	done = num_extents = 0;
	while (time_calls(method, calls, &elapsed), elapsed < PIECE_NS)
		calls *= 2;

	passes = 0;
	while ((!passes || num < MIN_PIECES) && num < ARRAY_SIZE(pieces))
		pieces[num++] = time_calls(method, calls, &elapsed);
	while (done != bytes)
		method->call();
	check(method);
	qsort(pieces, num, sizeof(pieces[0]), compare);
	return pieces[num / 2];
}

static size_t num_items(const struct method *method)
{
	switch (method->answer) {
	case EXTENTS:
		return num_extents;
	case PAGES:
		return bytes / PAGE;
	case HUGE_PAGES:
		return (bytes + mem.page - 1) / mem.page;
	default:
		return 1;
	}
}

static void read_reference(void)
{
	size_t i;

	read_pagemap(reference, 0, bytes / PAGE);
	for (i = 0; i < bytes / PAGE; i++) {
		if (!(reference[i] & PRESENT) || !PFN(reference[i]))
			fail("no address of page %zu in pagemap", i);
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
	fail("no nr_iommu_pages in /proc/vmstat");
}

/* Check the kind of memory. If scattered, almost no page continues the previous one. */
static void show_layout(void)
{
	uint64_t sizes, num_entries;
	size_t pages = bytes / mem.page;

	for (done = num_extents = 0; done < bytes;)
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

/*
 * The TLB that QEMU emulates is direct-mapped: an array in the wrong page evicts
 * the kernel's buffer with each copied word, which multiplies the time. Use
 * another page for the array in each repetition.
 */
static void measure_all(unsigned int repetitions)
{
	static struct samples samples[ARRAY_SIZE(methods)];
	size_t num = ARRAY_SIZE(methods) - (mem.page == PAGE);
	size_t items[ARRAY_SIZE(methods)], i, r;
	double per_item;

	read_reference();
	ioas_map(mem.addr, bytes, (uintptr_t)mem.addr);
	show_layout();
	/* Interleaved, so that other load on the host affects all methods */
	for (r = 0; r < repetitions; r++) {
		extents = extents_room + r * PAGE / sizeof(*extents);
		for (i = 0; i < num; i++) {
			per_item = measure(&methods[i]);
			items[i] = num_items(&methods[i]);
			add_sample(&samples[i], per_item * items[i]);
		}
	}
	for (i = 0; i < num; i++) {
		print_samples(methods[i].name, mem.kind, bytes, items[i],
			      &samples[i]);
		samples[i].num = 0;
	}
	ioas_unmap((uintptr_t)mem.addr, bytes);
}

int main(int argc, char **argv)
{
	unsigned int repetitions;
	size_t min, max;

	if (argc != 6)
		fail("usage: lookup DEVICE KIND MIN-MIB MAX-MIB REPETITIONS");
	tables_before = table_pages();
	open_device(argv[1]);
	min = strtoul(argv[3], NULL, 0) * MIB;
	max = strtoul(argv[4], NULL, 0) * MIB;
	repetitions = strtoul(argv[5], NULL, 0);
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	reference = malloc(max / PAGE * sizeof(*reference));
	entries = malloc(max / PAGE * sizeof(*entries));
	extents_room = malloc(max / PAGE * sizeof(*extents) + repetitions * PAGE);
	extents = extents_room;
	if (pagemap < 0 || !reference || !entries || !extents)
		fail("cannot open pagemap, or no memory");

	mem = alloc_memory(argv[2], max);
	for (bytes = min; bytes <= max; bytes *= 4)
		measure_all(repetitions);
	return 0;
}
