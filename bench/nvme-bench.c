// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme-bench fill|user|kernel DISK SECONDS: read and write at random offsets with
 * the driver in examples/ (DISK is a PCI address), or with the kernel's and
 * O_DIRECT (DISK is a block device).
 *
 * Each block of 4 KiB contains its number, which is checked after a read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/fs.h>

#include "guest.h"
#include "nvme.h"

#define BLOCK		4096UL
#define MAX_SIZE	(128UL << 10)
#define MAX_DEPTH	NVME_MAX_DEPTH

static char *buffers;		/* MAX_DEPTH times MAX_SIZE */
static uint64_t disk_size;

static char *buffer(unsigned int slot)
{
	return buffers + slot * MAX_SIZE;
}

static void number_blocks(char *buf, uint64_t offset, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += BLOCK)
		*(uint64_t *)(buf + i) = (offset + i) / BLOCK;
}

static void check_blocks(const char *buf, uint64_t offset, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += BLOCK) {
		if (*(const uint64_t *)(buf + i) != (offset + i) / BLOCK)
			fail("wrong data at %llu",
			     (unsigned long long)(offset + i));
	}
}

/* submit() starts a command in a slot, wait() returns the slot of a completed one */
struct driver {
	const char *name;
	void (*open)(const char *disk);
	void (*submit)(unsigned int slot, bool write, uint64_t offset,
		       size_t size);
	unsigned int (*wait)(unsigned int oldest);
	void (*close)(void);
};

static struct noiommu iommu;
static struct nvme nvme;
static struct noiommu_mem dma;

static void user_open(const char *disk)
{
	static const volatile sig_atomic_t never;

	if (noiommu_open(&iommu) ||
	    nvme_open(&nvme, &iommu, disk, NVME_POLL, &never) ||
	    noiommu_map(&iommu, buffers, MAX_DEPTH * MAX_SIZE, &dma))
		fail("%s", iommu.error);
	disk_size = nvme.nr_blocks * nvme.block_size;
}

static void user_submit(unsigned int slot, bool write, uint64_t offset,
			size_t size)
{
	if (nvme_submit(&nvme, slot, write ? NVME_WRITE : NVME_READ,
			offset / nvme.block_size, size / nvme.block_size, &dma,
			buffer(slot)))
		fail("%s", iommu.error);
}

static unsigned int user_wait(unsigned int oldest)
{
	if (nvme_wait(&nvme, oldest))
		fail("%s", iommu.error);
	return oldest;
}

static void user_close(void)
{
	nvme_close(&nvme);
	noiommu_unmap(&iommu, &dma);
	noiommu_close(&iommu);
}

static int fd;
static aio_context_t aio;
static struct iocb iocbs[MAX_DEPTH];

static void kernel_open(const char *disk)
{
	fd = open(disk, O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &disk_size) ||
	    syscall(SYS_io_setup, MAX_DEPTH, &aio))
		fail("cannot use %s: %s", disk, strerror(errno));
}

static void kernel_submit(unsigned int slot, bool write, uint64_t offset,
			  size_t size)
{
	struct iocb *iocb = &iocbs[slot];

	*iocb = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)buffer(slot),
		.aio_nbytes = size,
		.aio_offset = offset,
	};
	if (syscall(SYS_io_submit, aio, 1, &iocb) != 1)
		fail("io_submit: %s", strerror(errno));
}

static unsigned int kernel_wait(unsigned int oldest)
{
	struct io_event event;

	(void)oldest;
	if (syscall(SYS_io_getevents, aio, 1, 1, &event, NULL) != 1)
		fail("io_getevents: %s", strerror(errno));
	if (event.res != (int64_t)iocbs[event.data].aio_nbytes)
		fail("%lld of %llu bytes", (long long)event.res,
		     (unsigned long long)iocbs[event.data].aio_nbytes);
	return event.data;
}

static void kernel_close(void)
{
	close(fd);
}

static const struct driver drivers[] = {
	{ "user", user_open, user_submit, user_wait, user_close },
	{ "kernel", kernel_open, kernel_submit, kernel_wait, kernel_close },
};

/* Return the time per command */
static double run(const struct driver *driver, bool write, size_t size,
		  unsigned int depth, uint64_t duration)
{
	uint64_t offsets[MAX_DEPTH], start, elapsed;
	unsigned int slot = 0, busy = 0, next = 0;
	uint64_t started = 0, finished = 0;
	bool more = true;

	start = now_ns();
	while (more || busy) {
		while (more && busy < depth) {
			slot = next < depth ? next++ : slot;
			offsets[slot] = random_below(disk_size / size) * size;
			if (write)
				number_blocks(buffer(slot), offsets[slot], size);
			driver->submit(slot, write, offsets[slot], size);
			started++;
			busy++;
		}
		slot = driver->wait(finished % depth);
		if (!write)
			check_blocks(buffer(slot), offsets[slot], size);
		finished++;
		busy--;
		more = now_ns() - start < duration;
	}
	elapsed = now_ns() - start;
	return (double)elapsed / started;
}

static void measure(const struct driver *driver, uint64_t duration)
{
	static const unsigned int depths[] = { 1, MAX_DEPTH };
	static const size_t sizes[] = { 4096, MAX_SIZE };
	static struct samples samples;
	unsigned int write, s, d;
	char name[64];

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (d = 0; d < ARRAY_SIZE(depths); d++) {
			for (write = 0; write < 2; write++) {
				samples.num = 0;
				add_sample(&samples,
					   run(driver, write, sizes[s],
					       depths[d], duration));
				snprintf(name, sizeof(name), "nvme_%s_%s_qd%u",
					 driver->name, write ? "write" : "read",
					 depths[d]);
				print_samples(name, "4k", sizes[s], 1, &samples);
			}
		}
	}
}

static void fill(const struct driver *driver)
{
	uint64_t offset;

	for (offset = 0; offset < disk_size; offset += MAX_SIZE) {
		number_blocks(buffer(0), offset, MAX_SIZE);
		driver->submit(0, true, offset, MAX_SIZE);
		driver->wait(0);
	}
}

int main(int argc, char **argv)
{
	const struct driver *driver;

	if (argc != 4)
		fail("usage: nvme-bench fill|user|kernel DISK SECONDS");
	driver = &drivers[strcmp(argv[1], "kernel") == 0];
	buffers = mmap(NULL, MAX_DEPTH * MAX_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffers == MAP_FAILED)
		fail("no memory");
	driver->open(argv[2]);
	if (!strcmp(argv[1], "fill"))
		fill(driver);
	else
		measure(driver, strtod(argv[3], NULL) * 1e9);
	driver->close();
	return 0;
}
