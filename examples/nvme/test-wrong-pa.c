// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme-noiommu with wrong physical addresses: in mapping number WRONG_MAPPING
 * (0: queues, 1: buffers) the addresses of pages 2n and 2n + 1 are swapped. All
 * DMA stays within pinned memory.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "noiommu.h"

#define PAGE 4096

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const char *wrong = getenv("WRONG_MAPPING");
	static uint64_t start, length;
	static int mapping = -1;
	uint64_t iova, other;
	struct noiommu_get_pa *get;
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	if (request == IOMMU_IOAS_MAP) {
		start = ((struct iommu_ioas_map *)arg)->iova;
		length = ((struct iommu_ioas_map *)arg)->length;
		mapping++;
	}
	if (request != IOMMU_IOAS_NOIOMMU_GET_PA || !wrong ||
	    mapping != atoi(wrong))
		return __real_ioctl(fd, request, arg);

	get = arg;
	if (get->num_extents) { /* as a kernel without the array form */
		errno = E2BIG;
		return -1;
	}
	iova = get->iova;
	other = start + ((iova - start) ^ PAGE);
	if (other < start + length)
		get->iova = other;
	get->length = PAGE;
	ret = __real_ioctl(fd, request, arg);
	get->iova = iova;
	return ret;
}
