/* SPDX-License-Identifier: GPL-2.0-only */
/* The measured ioctls, for one IOAS; any failure ends the program */
#ifndef IOAS_H
#define IOAS_H

#include <stddef.h>
#include <stdint.h>

#include <linux/iommufd.h>

#include "noiommu.h"

/* The IOAS and its noiommu device; open until the program ends */
extern struct noiommu iommu;
extern struct noiommu_device device;

void open_device(const char *bdf);

void ioas_map(const void *addr, size_t length, uint64_t iova);
void ioas_map_file(int fd, size_t length, uint64_t iova);
void ioas_unmap(uint64_t iova, size_t length);

/* One extent from @iova on; @cmd is GET_PA or the naive loop of the bench kernel */
void get_extent(unsigned long cmd, uint64_t iova, size_t length,
		struct noiommu_get_pa_extent *extent);

/* Return the number of extents and add their length to @done */
size_t get_extents(uint64_t iova, size_t length,
		   struct noiommu_get_pa_extent *extents, size_t max,
		   size_t *done);

/* Number of page table entries, and a bitmap of their sizes */
uint64_t count_entries(uint64_t iova, size_t length, uint64_t *sizes);

/* An ioctl that only looks up the IOAS */
void empty_ioctl(void);

#endif /* IOAS_H */
