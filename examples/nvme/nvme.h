/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small NVMe driver that uses noiommu.h: one admin and one I/O queue. I/O is polled,
 * or waits for interrupts.
 *
 * Functions return 0 or a negative errno and store a line of text in the error
 * field of struct noiommu. The caller serializes calls on one controller.
 */
#ifndef NVME_H
#define NVME_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noiommu.h"

#define NVME_CLASS_CODE		0x010802
#define NVME_MAX_DEPTH		8		/* commands in flight */
#define NVME_MAX_TRANSFER	(3 << 20)	/* bytes of one command */
#define NVME_PRP_PAGES		2		/* enough for NVME_MAX_TRANSFER */

enum nvme_irq { NVME_POLL, NVME_INTX, NVME_MSIX };

enum nvme_opcode {
	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
};

struct nvme_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t metadata;
	uint64_t prp[2];
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

struct nvme_completion {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status;	/* bit 0: phase */
};

struct nvme_queue {
	struct nvme_command *sq;
	volatile struct nvme_completion *cq;
	uint64_t sq_pa;
	uint64_t cq_pa;
	volatile uint32_t *sq_doorbell;
	volatile uint32_t *cq_doorbell;
	unsigned int size;
	unsigned int tail;
	unsigned int head;
	unsigned int phase;
};

/* One page of a PRP list */
struct nvme_prp_page {
	uint64_t *entries;
	uint64_t pa;
};

struct nvme_slot {
	bool busy;
	uint16_t status;
	uint64_t deadline;
	struct nvme_prp_page list[NVME_PRP_PAGES];
};

struct nvme {
	struct noiommu *iommu;
	struct noiommu_device dev;
	const volatile sig_atomic_t *cancel;
	volatile uint8_t *regs;
	uint64_t cap;
	bool dead;		/* it stopped responding */
	int irq;		/* eventfd, -1: polled */
	unsigned int nr_waits;	/* for interrupts */

	struct noiommu_mem dma;	/* queues, PRP lists, identify data */
	struct nvme_queue admin;
	struct nvme_queue io;
	struct nvme_slot slots[NVME_MAX_DEPTH];
	void *identify;
	uint64_t identify_pa;

	uint32_t version;
	char serial[21];
	char model[41];
	char firmware[9];
	unsigned int page_size;		/* of the controller, bytes */
	unsigned int depth;		/* usable slots */
	size_t max_transfer;		/* bytes of one command */
	unsigned int block_size;	/* bytes */
	uint64_t nr_blocks;
};

/**
 * nvme_open() - Enable a controller and identify its namespace 1
 * @nvme: Filled in
 * @iommu: Open context; must outlive @nvme
 * @bdf: PCI address
 * @irq: How to wait for I/O commands
 * @cancel: nvme_wait() fails with -EINTR once this is not 0; must outlive @nvme
 */
int nvme_open(struct nvme *nvme, struct noiommu *iommu, const char *bdf,
	      enum nvme_irq irq, const volatile sig_atomic_t *cancel);

/**
 * nvme_close() - Shut the controller down
 * @nvme: Controller in any state, also in the middle of commands
 *
 * Waits for pending commands, each at most until its timeout. After it returns
 * the device does no DMA, and memory may be unmapped. The error text is not
 * changed.
 */
void nvme_close(struct nvme *nvme);

/**
 * nvme_submit() - Start a read, a write or a flush
 * @nvme: Controller
 * @slot: Free slot, below @nvme->depth
 * @opcode: Command
 * @lba: First block
 * @nr_blocks: Number of blocks, at most @nvme->max_transfer bytes
 * @mem: Mapping that contains @buf
 * @buf: Aligned to 4 bytes; in use by the device until nvme_wait() returns 0
 */
int nvme_submit(struct nvme *nvme, unsigned int slot, enum nvme_opcode opcode,
		uint64_t lba, unsigned int nr_blocks,
		const struct noiommu_mem *mem, void *buf);

/**
 * nvme_wait() - Wait until a slot is free
 * @nvme: Controller
 * @slot: Slot
 *
 * Return: 0 if the last command of the slot succeeded or there was none, -EINTR
 * if cancelled, or another -errno
 */
int nvme_wait(struct nvme *nvme, unsigned int slot);

/**
 * nvme_build_prps() - Build the PRPs of a buffer
 * @mem: Mapping that contains @buf
 * @buf: First byte
 * @length: Bytes
 * @page_size: Page size of the controller (CC.MPS) in bytes
 * @list: Pages for the PRP list
 * @nr_pages: Number of pages in @list
 * @prp: PRP entries 1 and 2 of the command
 *
 * Return: 0; -EFAULT if part of the buffer is not in @mem; -EINVAL if its physical
 * address is not a multiple of 4, or a controller page is not contiguous;
 * -E2BIG if @list is too short. The error text is not set.
 */
int nvme_build_prps(const struct noiommu_mem *mem, const void *buf,
		    size_t length, size_t page_size,
		    const struct nvme_prp_page *list, unsigned int nr_pages,
		    uint64_t prp[2]);

#endif /* NVME_H */
