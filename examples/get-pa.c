// SPDX-License-Identifier: GPL-2.0-only
/* Print the physical addresses of 1 MiB, for DMA by the PCI device argv[1] */
#include <stdio.h>
#include <sys/mman.h>

#include "noiommu.h"

int main(int argc, char **argv)
{
	struct noiommu_device dev;
	struct noiommu iommu;
	struct noiommu_mem mem;
	size_t length = 1 << 20, done = 0;
	uint64_t pa;
	ssize_t run;
	char *buf;

	buf = mmap(NULL, length, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc != 2 || buf == MAP_FAILED) {
		fprintf(stderr, "usage: get-pa PCI-ADDRESS\n");
		return 2;
	}

	if (noiommu_open(&iommu))
		goto error;
	if (noiommu_device_open(&iommu, argv[1], &dev))
		goto close;
	if (noiommu_map(&iommu, buf, length, &mem))
		goto close_device;

	while (done < length) {
		run = noiommu_translate(&mem, buf + done, length - done, &pa);
		printf("%p is at %#llx for %zd bytes\n", buf + done,
		       (unsigned long long)pa, run);
		done += run;
	}

	noiommu_device_close(&dev);	/* stops DMA before the memory is unpinned */
	noiommu_unmap(&iommu, &mem);
	noiommu_close(&iommu);
	return 0;

close_device:
	noiommu_device_close(&dev);
close:
	noiommu_close(&iommu);
error:
	fprintf(stderr, "get-pa: %s\n", iommu.error);
	return 1;
}
