// SPDX-License-Identifier: GPL-2.0-only
/*
 * one-page DEVICE REPETITIONS: measure a loop of single GET_PA calls on one page of 4 KiB, on any kernel
 * with the ioctl. Each result is compared with /proc/self/pagemap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest.h"
#include "ioas.h"

#define PAGE	4096UL
#define CALLS	20000UL

/* Only the fields that all kernels with the ioctl support */
static uint64_t get_pa(uint64_t iova)
{
	struct noiommu_get_pa get = {
		.size = offsetof(struct noiommu_get_pa, extents_uptr),
		.ioas_id = iommu.ioas_id,
		.iova = iova,
		.length = PAGE,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
		fail("IOMMU_IOAS_NOIOMMU_GET_PA: %s", strerror(errno));
	return get.out_phys;
}

static uint64_t pagemap_pa(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, sizeof(entry),
			    (uintptr_t)addr / PAGE * sizeof(entry)) != sizeof(entry))
		fail("cannot read pagemap: %s", strerror(errno));
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

int main(int argc, char **argv)
{
	static struct samples samples;
	struct memory mem;
	uint64_t pa, start;
	unsigned long i;
	int repetitions;

	if (argc != 3)
		fail("usage: one-page DEVICE REPETITIONS");
	open_device(argv[1]);
	mem = alloc_memory("4k", PAGE);
	ioas_map(mem.addr, PAGE, (uintptr_t)mem.addr);
	pa = pagemap_pa(mem.addr);
	for (repetitions = atoi(argv[2]); repetitions; repetitions--) {
		start = now_ns();
		for (i = 0; i < CALLS; i++)
			if (get_pa((uintptr_t)mem.addr) != pa)
				fail("wrong address");
		add_sample(&samples, now_ns() - start);
	}
	print_samples("one_page", mem.kind, PAGE, CALLS, &samples);
	return 0;
}
