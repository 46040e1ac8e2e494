// SPDX-License-Identifier: GPL-2.0-only
/*
 * register NOIOMMU-DEVICE VFIO-DEVICE KIND MIB REPETITIONS: measure preparing
 * memory for DMA and releasing it: by iommufd with GET_PA (from an address and
 * from a file), by mlock() with pagemap, and by the VFIO container (type1) for a
 * device behind an IOMMU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "guest.h"
#include "ioas.h"

#define PAGE		4096UL
#define TYPE1_IOVA	(4 * GIB)

static struct memory mem;
static struct noiommu_get_pa_extent *extents;
static uint64_t *entries;
static int pagemap, container;

static void open_container(const char *bdf)
{
	char path[128], link[128];
	ssize_t length;
	int group;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	length = readlink(path, link, sizeof(link) - 1);
	if (length < 0)
		fail("%s is not behind an IOMMU", bdf);
	link[length] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(link));
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	if (container < 0 || group < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("cannot open a container with %s: %s", path,
		     strerror(errno));
}

static void iommufd_map(void)
{
	ioas_map(mem.addr, mem.length, (uintptr_t)mem.addr);
}

static void iommufd_map_file(void)
{
	ioas_map_file(mem.fd, mem.length, (uintptr_t)mem.addr);
}

static void iommufd_array(void)
{
	size_t done = 0;

	while (done < mem.length)
		get_extents((uintptr_t)mem.addr + done, mem.length - done,
			    extents, mem.length / PAGE, &done);
}

static void iommufd_single(void)
{
	size_t done = 0;

	while (done < mem.length) {
		get_extent(IOMMU_IOAS_NOIOMMU_GET_PA, (uintptr_t)mem.addr + done,
			   mem.length - done, extents);
		done += extents->length;
	}
}

static void iommufd_unmap(void)
{
	ioas_unmap((uintptr_t)mem.addr, mem.length);
}

static void lock(void)
{
	if (mlock(mem.addr, mem.length))
		fail("mlock: %s", strerror(errno));
}

static void read_pagemap(void)
{
	ssize_t length = mem.length / PAGE * sizeof(*entries);

	if (pread(pagemap, entries, length,
		  (uintptr_t)mem.addr / PAGE * sizeof(*entries)) != length)
		fail("cannot read pagemap: %s", strerror(errno));
}

static void unlock(void)
{
	if (munlock(mem.addr, mem.length))
		fail("munlock: %s", strerror(errno));
}

static void type1_map(void)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem.addr,
		.iova = TYPE1_IOVA,
		.size = mem.length,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		fail("VFIO_IOMMU_MAP_DMA: %s", strerror(errno));
}

static void type1_unmap(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = TYPE1_IOVA,
		.size = mem.length,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) ||
	    unmap.size != mem.length)
		fail("VFIO_IOMMU_UNMAP_DMA: %s", strerror(errno));
}

/* In execution order */
static const struct step {
	const char *name;
	void (*run)(void);
} steps[] = {
	{ "map", iommufd_map },
	{ "addresses", iommufd_array },
	{ "addresses_single", iommufd_single },
	{ "unmap", iommufd_unmap },
	{ "mlock", lock },
	{ "pagemap", read_pagemap },
	{ "munlock", unlock },
	{ "type1_map", type1_map },
	{ "type1_unmap", type1_unmap },
	{ "map_file", iommufd_map_file },	/* the last two require a file */
	{ "unmap_file", iommufd_unmap },
};

int main(int argc, char **argv)
{
	static struct samples samples[ARRAY_SIZE(steps)];
	unsigned long repetitions, r;
	uint64_t start;
	size_t i, num;

	if (argc != 6)
		fail("usage: register NOIOMMU-DEVICE VFIO-DEVICE KIND MIB REPETITIONS");
	open_device(argv[1]);
	open_container(argv[2]);
	mem = alloc_memory(argv[3], strtoul(argv[4], NULL, 0) * MIB);
	num = ARRAY_SIZE(steps) - (mem.fd < 0 ? 2 : 0);
	repetitions = strtoul(argv[5], NULL, 0);

	/* Fault the memory in: only the calls are measured */
	extents = calloc(mem.length / PAGE, sizeof(*extents));
	entries = calloc(mem.length / PAGE, sizeof(*entries));
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (!extents || !entries || pagemap < 0)
		fail("cannot open pagemap, or no memory");
	memset(extents, 1, mem.length / PAGE * sizeof(*extents));
	memset(entries, 1, mem.length / PAGE * sizeof(*entries));

	for (r = 0; r < repetitions; r++) {
		for (i = 0; i < num; i++) {
			start = now_ns();
			steps[i].run();
			add_sample(&samples[i], now_ns() - start);
		}
	}
	for (i = 0; i < num; i++)
		print_samples(steps[i].name, mem.kind, mem.length, 1,
			      &samples[i]);
	return 0;
}
