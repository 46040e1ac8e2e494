// SPDX-License-Identifier: GPL-2.0-only
/* Time, samples and memory, see guest.h */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "guest.h"

#define PAGE 4096UL

void fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("error: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* xorshift64: the same sequence in every run */
uint64_t random_below(uint64_t limit)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

void add_sample(struct samples *samples, double ns)
{
	if (samples->num == ARRAY_SIZE(samples->ns))
		fail("too many samples");
	samples->ns[samples->num++] = ns;
}

void print_samples(const char *measure, const char *kind, size_t bytes,
		   uint64_t count, const struct samples *samples)
{
	unsigned int i;

	printf("{\"measure\":\"%s\",\"kind\":\"%s\",\"bytes\":%zu,\"count\":%llu,\"ns\":[",
	       measure, kind, bytes, (unsigned long long)count);
	for (i = 0; i < samples->num; i++)
		printf("%s%.1f", i ? "," : "", samples->ns[i]);
	printf("]}\n");
	fflush(stdout);
}

/* Fault the pages in, in random order */
static void touch(const struct memory *mem)
{
	size_t i, j, num = mem->length / mem->page;
	uint32_t *order, swap;

	order = malloc(num * sizeof(*order));
	if (!order)
		fail("no memory");
	for (i = 0; i < num; i++) {
		j = random_below(i + 1);
		order[i] = i;
		swap = order[j];
		order[j] = order[i];
		order[i] = swap;
	}
	for (i = 0; i < num; i++)
		mem->addr[order[i] * mem->page] = 1;
	free(order);
}

/* kB of transparent huge pages in the VMA of @addr */
static size_t thp_kb(const void *addr)
{
	unsigned long start, end;
	bool inside = false;
	char line[512];
	size_t kb = 0;
	FILE *file;

	file = fopen("/proc/self/smaps", "r");
	if (!file)
		fail("cannot open /proc/self/smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long)addr &&
				 (unsigned long)addr < end;
		else if (inside && sscanf(line, "AnonHugePages: %zu", &kb) == 1)
			break;
	}
	fclose(file);
	return kb;
}

struct memory alloc_memory(const char *kind, size_t length)
{
	struct memory mem = { .kind = kind, .length = length, .fd = -1 };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, advice = 0;
	unsigned int huge = 0;
	size_t reserve = length;

	if (!strcmp(kind, "4k")) {
		mem.page = PAGE;
		advice = MADV_NOHUGEPAGE;
	} else if (!strcmp(kind, "thp")) {
		mem.page = 2 * MIB;
		reserve += mem.page;
		advice = MADV_HUGEPAGE;
	} else if (!strcmp(kind, "2m")) {
		mem.page = 2 * MIB;
		huge = MFD_HUGETLB | MFD_HUGE_2MB;
	} else if (!strcmp(kind, "1g")) {
		mem.page = GIB;
		huge = MFD_HUGETLB | MFD_HUGE_1GB;
	} else {
		fail("unknown kind of memory '%s'", kind);
	}

	if (huge) {
		mem.fd = memfd_create("bench", huge);
		if (mem.fd < 0 || ftruncate(mem.fd, length))
			fail("memfd of kind %s: %s", kind, strerror(errno));
		flags = MAP_SHARED;
	}
	mem.addr = mmap(NULL, reserve, PROT_READ | PROT_WRITE, flags, mem.fd, 0);
	if (mem.addr == MAP_FAILED)
		fail("cannot allocate %zu MiB of kind %s: %s", reserve / MIB,
		     kind, strerror(errno));
	mem.addr += -(uintptr_t)mem.addr % mem.page;
	if (advice && madvise(mem.addr, length, advice))
		fail("madvise: %s", strerror(errno));
	touch(&mem);
	if (advice == MADV_HUGEPAGE && thp_kb(mem.addr) * 1024 < length)
		fail("only %zu of %zu kB are in huge pages", thp_kb(mem.addr),
		     length / 1024);
	return mem;
}
