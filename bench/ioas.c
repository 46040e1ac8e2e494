// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "guest.h"
#include "ioas.h"

struct noiommu iommu;
struct noiommu_device device;

void open_device(const char *bdf)
{
	if (noiommu_open(&iommu) || noiommu_device_open(&iommu, bdf, &device))
		fail("%s", iommu.error);
}

void ioas_map(const void *addr, size_t length, uint64_t iova)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = iommu.ioas_id,
		.user_va = (uintptr_t)addr,
		.length = length,
		.iova = iova,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_MAP, &map))
		fail("IOMMU_IOAS_MAP of %zu bytes: %s", length, strerror(errno));
}

void ioas_map_file(int fd, size_t length, uint64_t iova)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = iommu.ioas_id,
		.fd = fd,
		.length = length,
		.iova = iova,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_MAP_FILE, &map))
		fail("IOMMU_IOAS_MAP_FILE of %zu bytes: %s", length,
		     strerror(errno));
}

void ioas_unmap(uint64_t iova, size_t length)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = iommu.ioas_id,
		.iova = iova,
		.length = length,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_UNMAP, &unmap))
		fail("IOMMU_IOAS_UNMAP of %zu bytes: %s", length,
		     strerror(errno));
}

void get_extent(unsigned long cmd, uint64_t iova, size_t length,
		struct noiommu_get_pa_extent *extent)
{
	struct noiommu_get_pa get = {
		.size = sizeof(get),
		.ioas_id = iommu.ioas_id,
		.iova = iova,
		.length = length,
	};

	if (ioctl(iommu.fd, cmd, &get))
		fail("ioctl %#lx at %#llx: %s", cmd, (unsigned long long)iova,
		     strerror(errno));
	extent->phys = get.out_phys;
	extent->length = get.length;
}

size_t get_extents(uint64_t iova, size_t length,
		   struct noiommu_get_pa_extent *extents, size_t max,
		   size_t *done)
{
	struct noiommu_get_pa get = {
		.size = sizeof(get),
		.ioas_id = iommu.ioas_id,
		.iova = iova,
		.length = length,
		.extents_uptr = (uintptr_t)extents,
		.num_extents = max,
	};

	if (ioctl(iommu.fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
		fail("IOMMU_IOAS_NOIOMMU_GET_PA of an array at %#llx: %s",
		     (unsigned long long)iova, strerror(errno));
	*done += get.length;
	return get.num_extents;
}

uint64_t count_entries(uint64_t iova, size_t length, uint64_t *sizes)
{
	struct noiommu_get_pa_extent result;

	get_extent(IOMMU_IOAS_NOIOMMU_BENCH_ENTRIES, iova, length, &result);
	*sizes = result.phys;
	return result.length;
}

void empty_ioctl(void)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_GET,
		.object_id = iommu.ioas_id,
	};

	if (ioctl(iommu.fd, IOMMU_OPTION, &option))
		fail("IOMMU_OPTION: %s", strerror(errno));
}
