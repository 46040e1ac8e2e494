// SPDX-License-Identifier: GPL-2.0-only
/* A small NVMe driver; section numbers refer to the NVMe Base Specification 1.4 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "nvme.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "NVMe is little-endian: add the conversions"
#endif

/*
 * The write barrier orders queue entries before the doorbell, the read barrier
 * the phase bit of a completion before its other fields.
 */
#if defined(__x86_64__) || defined(__i386__)
static void dma_wmb(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static void dma_rmb(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
#elif defined(__aarch64__)
static void dma_wmb(void) { __asm__ volatile("dmb oshst" ::: "memory"); }
static void dma_rmb(void) { __asm__ volatile("dmb oshld" ::: "memory"); }
#else
#error "add the barriers between memory and MMIO of this architecture"
#endif

/* Registers, 3.1 */
#define REG_CAP		0x00
#define REG_VS		0x08
#define REG_CC		0x14
#define REG_CSTS	0x1c
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define REG_DOORBELLS	0x1000

#define CAP_MQES(cap)	((cap) & 0xffff)
#define CAP_TO(cap)	((cap) >> 24 & 0xff)	/* units of 500 ms */
#define CAP_DSTRD(cap)	((cap) >> 32 & 0xf)
#define CAP_CSS_NVM	(1ULL << 37)
#define CAP_MPSMIN(cap)	((cap) >> 48 & 0xf)

#define CC_ENABLE	(1 << 0)
#define CC_MPS(shift)	((shift) << 7)
#define CC_SHN_NORMAL	(1 << 14)
#define CC_SHN_MASK	(3 << 14)
#define CC_IOSQES	(6 << 16)		/* 64 bytes */
#define CC_IOCQES	(4 << 20)		/* 16 bytes */

#define CSTS_READY	(1 << 0)
#define CSTS_FATAL	(1 << 1)
#define CSTS_SHST_MASK	(3 << 2)
#define CSTS_SHST_DONE	(2 << 2)

/* Admin commands, 5 */
#define ADMIN_CREATE_SQ		0x01
#define ADMIN_CREATE_CQ		0x05
#define ADMIN_IDENTIFY		0x06
#define ADMIN_SET_FEATURES	0x09

#define IDENTIFY_NAMESPACE	0
#define IDENTIFY_CONTROLLER	1
#define IDENTIFY_SIZE		4096
#define FEATURE_NR_QUEUES	7
#define QUEUE_CONTIGUOUS	1
#define QUEUE_INTERRUPTS	2

#define NSID			1
#define IO_QUEUE_ID		1
#define QUEUE_ENTRIES		64
#define COMMAND_TIMEOUT_MS	10000
#define SHUTDOWN_TIMEOUT_MS	5000

struct identify_controller {
	uint16_t vendor;
	uint16_t subsystem_vendor;
	char serial[20];
	char model[40];
	char firmware[8];
	uint8_t unused72[5];
	uint8_t mdts;
	uint8_t unused78[4018];
};

struct identify_namespace {
	uint64_t nsze;
	uint8_t unused8[18];
	uint8_t flbas;
	uint8_t unused27[101];
	struct {
		uint16_t metadata_size;
		uint8_t lba_shift;
		uint8_t performance;
	} lbaf[64];
	uint8_t unused384[3712];
};

_Static_assert(sizeof(struct nvme_command) == 64, "submission queue entry");
_Static_assert(sizeof(struct nvme_completion) == 16, "completion queue entry");
_Static_assert(sizeof(struct identify_controller) == IDENTIFY_SIZE, "identify");
_Static_assert(sizeof(struct identify_namespace) == IDENTIFY_SIZE, "identify");
_Static_assert(offsetof(struct identify_controller, mdts) == 77, "identify");
_Static_assert(offsetof(struct identify_namespace, lbaf) == 128, "identify");

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static uint32_t read32(struct nvme *nvme, unsigned int reg)
{
	return *(volatile uint32_t *)(nvme->regs + reg);
}

static void write32(struct nvme *nvme, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(nvme->regs + reg) = value;
}

/* Some controllers do not support 64-bit accesses */
static uint64_t read64(struct nvme *nvme, unsigned int reg)
{
	return read32(nvme, reg) | (uint64_t)read32(nvme, reg + 4) << 32;
}

static void write64(struct nvme *nvme, unsigned int reg, uint64_t value)
{
	write32(nvme, reg, value);
	write32(nvme, reg + 4, value >> 32);
}

/* Returns -ENODEV, -EIO or -ETIMEDOUT; does not set the error text */
static int wait_csts(struct nvme *nvme, uint32_t mask, uint32_t value,
		     unsigned int timeout_ms)
{
	uint64_t deadline = now_ms() + timeout_ms;
	uint32_t csts;

	for (;;) {
		csts = read32(nvme, REG_CSTS);
		if (csts == UINT32_MAX)
			return -ENODEV;
		if ((csts & mask) == value)
			return 0;
		if (value && csts & CSTS_FATAL)
			return -EIO;
		if (now_ms() > deadline)
			return -ETIMEDOUT;
		usleep(1000);
	}
}

static unsigned int ready_timeout_ms(struct nvme *nvme)
{
	return (CAP_TO(nvme->cap) + 1) * 500;
}

/* Controller page @index of the DMA memory */
static int dma_page(struct nvme *nvme, unsigned int index, void **addr,
		    uint64_t *pa)
{
	ssize_t run;

	*addr = (char *)nvme->dma.addr + (size_t)index * nvme->page_size;
	run = noiommu_translate(&nvme->dma, *addr, nvme->page_size, pa);
	if (run != (ssize_t)nvme->page_size || *pa % nvme->page_size)
		return noiommu_error(nvme->iommu, EOPNOTSUPP,
			"%s needs contiguous pages of %u bytes, more than this machine's page size",
			nvme->dev.bdf, nvme->page_size);
	return 0;
}

static int init_queue(struct nvme *nvme, struct nvme_queue *queue,
		      unsigned int id, unsigned int first_page)
{
	volatile uint8_t *doorbells = nvme->regs + REG_DOORBELLS;
	size_t stride = 4 << CAP_DSTRD(nvme->cap);
	void *cq;
	int ret;

	ret = dma_page(nvme, first_page, (void **)&queue->sq, &queue->sq_pa);
	if (!ret)
		ret = dma_page(nvme, first_page + 1, &cq, &queue->cq_pa);
	if (ret)
		return ret;

	queue->cq = cq;
	queue->size = QUEUE_ENTRIES;
	if (queue->size > CAP_MQES(nvme->cap) + 1)
		queue->size = CAP_MQES(nvme->cap) + 1;
	queue->phase = 1;
	queue->sq_doorbell = (volatile uint32_t *)(doorbells + 2 * id * stride);
	queue->cq_doorbell = (volatile uint32_t *)(doorbells + (2 * id + 1) * stride);
	return 0;
}

static int alloc_dma_memory(struct nvme *nvme)
{
	unsigned int nr_pages = 5 + NVME_MAX_DEPTH * NVME_PRP_PAGES;
	size_t host_page = sysconf(_SC_PAGESIZE);
	unsigned int slot, i, page = 0;
	struct nvme_prp_page *list;
	size_t length;
	void *addr;
	int ret;

	length = (size_t)nr_pages * nvme->page_size;
	length = (length + host_page - 1) / host_page * host_page;
	addr = mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED)
		return noiommu_error(nvme->iommu, errno,
			"cannot allocate %zu bytes for queues: %s", length,
			strerror(errno));
	ret = noiommu_map(nvme->iommu, addr, length, &nvme->dma);
	if (ret) {
		munmap(addr, length);
		return ret;
	}

	ret = init_queue(nvme, &nvme->admin, 0, page);
	page += 2;
	if (!ret)
		ret = init_queue(nvme, &nvme->io, IO_QUEUE_ID, page);
	page += 2;
	if (!ret)
		ret = dma_page(nvme, page++, &nvme->identify,
			       &nvme->identify_pa);
	for (slot = 0; slot < NVME_MAX_DEPTH; slot++) {
		for (i = 0; i < NVME_PRP_PAGES && !ret; i++) {
			list = &nvme->slots[slot].list[i];
			ret = dma_page(nvme, page++, (void **)&list->entries,
				       &list->pa);
		}
	}
	return ret;
}

static void queue_submit(struct nvme_queue *queue,
			 const struct nvme_command *command)
{
	queue->sq[queue->tail] = *command;
	queue->tail = (queue->tail + 1) % queue->size;
	dma_wmb();
	*queue->sq_doorbell = queue->tail;
}

/* Consume a completion, if there is one */
static bool queue_poll(struct nvme_queue *queue, uint16_t *cid,
		       uint16_t *status)
{
	volatile struct nvme_completion *completion = &queue->cq[queue->head];

	*status = completion->status;
	if ((*status & 1) != queue->phase)
		return false;
	dma_rmb();
	*cid = completion->cid;
	*status >>= 1;
	if (++queue->head == queue->size) {
		queue->head = 0;
		queue->phase ^= 1;
	}
	*queue->cq_doorbell = queue->head;
	return true;
}

static int command_timeout(struct nvme *nvme, const char *what)
{
	uint32_t csts = read32(nvme, REG_CSTS);

	nvme->dead = true;
	if (csts == UINT32_MAX)
		return noiommu_error(nvme->iommu, ENODEV,
			"%s is gone from the bus", nvme->dev.bdf);
	return noiommu_error(nvme->iommu, ETIMEDOUT,
		"%s did not complete %s within %u s (CSTS %#x%s)",
		nvme->dev.bdf, what, COMMAND_TIMEOUT_MS / 1000, csts,
		csts & CSTS_FATAL ? ", fatal" : "");
}

static int command_status(struct nvme *nvme, const char *what, uint16_t status)
{
	if (!status)
		return 0;
	return noiommu_error(nvme->iommu, EIO,
		"%s failed %s: NVMe status type %#x, code %#x", nvme->dev.bdf,
		what, status >> 8 & 7, status & 0xff);
}

static int unknown_completion(struct nvme *nvme, uint16_t cid)
{
	nvme->dead = true;
	return noiommu_error(nvme->iommu, EIO,
		"%s completed command %u, which was not sent", nvme->dev.bdf,
		cid);
}

static int admin_command(struct nvme *nvme, struct nvme_command *command,
			 const char *what)
{
	uint64_t deadline = now_ms() + COMMAND_TIMEOUT_MS;
	uint16_t cid, status;

	queue_submit(&nvme->admin, command);
	while (!queue_poll(&nvme->admin, &cid, &status)) {
		if (now_ms() > deadline)
			return command_timeout(nvme, what);
	}
	if (cid != command->cid)
		return unknown_completion(nvme, cid);
	return command_status(nvme, what, status);
}

static int enable(struct nvme *nvme)
{
	int ret;

	write32(nvme, REG_CC, 0);
	ret = wait_csts(nvme, CSTS_READY, 0, ready_timeout_ms(nvme));
	if (!ret) {
		write32(nvme, REG_AQA, (nvme->admin.size - 1) << 16 |
				       (nvme->admin.size - 1));
		write64(nvme, REG_ASQ, nvme->admin.sq_pa);
		write64(nvme, REG_ACQ, nvme->admin.cq_pa);
		ret = noiommu_bus_master(&nvme->dev, true);
		if (ret)
			return ret;
		write32(nvme, REG_CC, CC_ENABLE | CC_IOSQES | CC_IOCQES |
				      CC_MPS(CAP_MPSMIN(nvme->cap)));
		ret = wait_csts(nvme, CSTS_READY, CSTS_READY,
				ready_timeout_ms(nvme));
	}
	if (ret) {
		nvme->dead = true;
		return noiommu_error(nvme->iommu, -ret,
			"cannot enable the controller %s: %s", nvme->dev.bdf,
			ret == -EIO ? "it reports a fatal status (CSTS.CFS)" :
			strerror(-ret));
	}
	return 0;
}

static int identify(struct nvme *nvme, uint32_t what, uint32_t nsid)
{
	struct nvme_command command = {
		.opcode = ADMIN_IDENTIFY,
		.nsid = nsid,
		.prp = { nvme->identify_pa },
		.cdw10 = what,
	};

	return admin_command(nvme, &command, "IDENTIFY");
}

/* Identify strings are padded with spaces */
static void copy_text(char *to, const char *from, size_t size)
{
	while (size && from[size - 1] == ' ')
		size--;
	memcpy(to, from, size);
	to[size] = '\0';
}

static int identify_controller(struct nvme *nvme)
{
	const struct identify_controller *id = nvme->identify;
	unsigned int min_page = 4096 << CAP_MPSMIN(nvme->cap);
	int ret;

	ret = identify(nvme, IDENTIFY_CONTROLLER, 0);
	if (ret)
		return ret;

	copy_text(nvme->serial, id->serial, sizeof(id->serial));
	copy_text(nvme->model, id->model, sizeof(id->model));
	copy_text(nvme->firmware, id->firmware, sizeof(id->firmware));
	nvme->version = read32(nvme, REG_VS);
	nvme->max_transfer = NVME_MAX_TRANSFER;
	if (id->mdts && id->mdts < 16 &&
	    nvme->max_transfer > (size_t)min_page << id->mdts)
		nvme->max_transfer = (size_t)min_page << id->mdts;
	return 0;
}

static int identify_namespace(struct nvme *nvme)
{
	const struct identify_namespace *id = nvme->identify;
	unsigned int format;
	int ret;

	ret = identify(nvme, IDENTIFY_NAMESPACE, NSID);
	if (ret)
		return ret;
	if (!id->nsze)
		return noiommu_error(nvme->iommu, ENODEV,
			"%s has no namespace %u", nvme->dev.bdf, NSID);

	format = (id->flbas & 0xf) | (id->flbas >> 1 & 0x30);
	if (id->lbaf[format].metadata_size || id->lbaf[format].lba_shift < 9 ||
	    id->lbaf[format].lba_shift > 12)
		return noiommu_error(nvme->iommu, EOPNOTSUPP,
			"%s has blocks of 2^%u bytes with %u bytes of metadata: only 512 to 4096 bytes without metadata are supported",
			nvme->dev.bdf, id->lbaf[format].lba_shift,
			id->lbaf[format].metadata_size);
	nvme->block_size = 1U << id->lbaf[format].lba_shift;
	nvme->nr_blocks = id->nsze;
	return 0;
}

static int create_io_queue(struct nvme *nvme)
{
	uint32_t size_and_id = (nvme->io.size - 1) << 16 | IO_QUEUE_ID;
	struct nvme_command nr_queues = {
		.opcode = ADMIN_SET_FEATURES,
		.cdw10 = FEATURE_NR_QUEUES,
		.cdw11 = 0,	/* one of each, counted from 0 */
	};
	struct nvme_command create_cq = {
		.opcode = ADMIN_CREATE_CQ,
		.prp = { nvme->io.cq_pa },
		.cdw10 = size_and_id,
		.cdw11 = QUEUE_CONTIGUOUS |
			 (nvme->irq < 0 ? 0 : QUEUE_INTERRUPTS),
	};
	struct nvme_command create_sq = {
		.opcode = ADMIN_CREATE_SQ,
		.prp = { nvme->io.sq_pa },
		.cdw10 = size_and_id,
		.cdw11 = IO_QUEUE_ID << 16 | QUEUE_CONTIGUOUS,
	};
	int ret;

	ret = admin_command(nvme, &nr_queues, "SET FEATURES");
	if (!ret)
		ret = admin_command(nvme, &create_cq, "CREATE CQ");
	if (!ret)
		ret = admin_command(nvme, &create_sq, "CREATE SQ");
	nvme->depth = nvme->io.size - 1;
	if (nvme->depth > NVME_MAX_DEPTH)
		nvme->depth = NVME_MAX_DEPTH;
	return ret;
}

static int read_capabilities(struct nvme *nvme)
{
	size_t size, doorbells = 2 * (IO_QUEUE_ID + 1);
	void *regs;
	int ret;

	ret = noiommu_map_bar(&nvme->dev, 0, &regs, &size);
	if (ret)
		return ret;
	nvme->regs = regs;
	nvme->cap = read64(nvme, REG_CAP);
	if (nvme->cap == UINT64_MAX)
		return noiommu_error(nvme->iommu, ENODEV,
			"the registers of %s do not respond", nvme->dev.bdf);
	if (!(nvme->cap & CAP_CSS_NVM))
		return noiommu_error(nvme->iommu, EOPNOTSUPP,
			"%s does not have the NVM command set", nvme->dev.bdf);
	if (size < REG_DOORBELLS + (doorbells * 4 << CAP_DSTRD(nvme->cap)))
		return noiommu_error(nvme->iommu, EOPNOTSUPP,
			"the doorbells of %s are not in its BAR 0 of %zu bytes (CAP %#llx)",
			nvme->dev.bdf, size, (unsigned long long)nvme->cap);
	nvme->page_size = 4096U << CAP_MPSMIN(nvme->cap);
	return 0;
}

static int open_irq(struct nvme *nvme, enum nvme_irq irq)
{
	if (irq == NVME_POLL)
		return 0;
	nvme->irq = noiommu_irq_open(&nvme->dev, irq == NVME_INTX ?
				     VFIO_PCI_INTX_IRQ_INDEX :
				     VFIO_PCI_MSIX_IRQ_INDEX);
	return nvme->irq < 0 ? nvme->irq : 0;
}

int nvme_open(struct nvme *nvme, struct noiommu *iommu, const char *bdf,
	      enum nvme_irq irq, const volatile sig_atomic_t *cancel)
{
	uint32_t class_code;
	int ret;

	*nvme = (struct nvme){ .iommu = iommu, .cancel = cancel, .irq = -1 };
	ret = noiommu_pci_class(iommu, bdf, &class_code);
	if (ret)
		return ret;
	if (class_code != NVME_CLASS_CODE)
		return noiommu_error(iommu, ENODEV,
			"%s is not an NVMe controller (PCI class %06x, not %06x)",
			bdf, class_code, NVME_CLASS_CODE);

	ret = noiommu_device_open(iommu, bdf, &nvme->dev);
	if (ret)
		return ret;
	ret = read_capabilities(nvme);
	if (!ret)
		ret = open_irq(nvme, irq);
	if (!ret)
		ret = alloc_dma_memory(nvme);
	if (!ret)
		ret = enable(nvme);
	if (!ret)
		ret = identify_controller(nvme);
	if (!ret)
		ret = identify_namespace(nvme);
	if (!ret)
		ret = create_io_queue(nvme);
	if (ret)
		nvme_close(nvme);
	return ret;
}

/*
 * Consume a completion of an I/O command, if there is one. Returns the number of
 * completions, or -EIO if no command is pending; does not set the error text.
 */
static int reap(struct nvme *nvme, uint16_t *cid)
{
	uint16_t status;

	if (!queue_poll(&nvme->io, cid, &status))
		return 0;
	if (*cid >= NVME_MAX_DEPTH || !nvme->slots[*cid].busy)
		return -EIO;
	nvme->slots[*cid].busy = false;
	nvme->slots[*cid].status = status;
	return 1;
}

/* Commands must have completed before a shutdown */
static void drain(struct nvme *nvme)
{
	unsigned int slot;
	uint16_t cid;
	int ret;

	for (slot = 0; slot < NVME_MAX_DEPTH; slot++) {
		while (nvme->slots[slot].busy && !nvme->dead) {
			ret = reap(nvme, &cid);
			if (ret < 0 ||
			    (!ret && now_ms() > nvme->slots[slot].deadline))
				nvme->dead = true;
		}
	}
}

void nvme_close(struct nvme *nvme)
{
	struct noiommu_mem dma = nvme->dma;
	uint32_t cc;

	drain(nvme);
	if (nvme->regs && !nvme->dead) {
		cc = read32(nvme, REG_CC);
		if (cc & CC_ENABLE) {
			write32(nvme, REG_CC, (cc & ~CC_SHN_MASK) | CC_SHN_NORMAL);
			wait_csts(nvme, CSTS_SHST_MASK, CSTS_SHST_DONE,
				  SHUTDOWN_TIMEOUT_MS);
		}
		write32(nvme, REG_CC, 0);
		wait_csts(nvme, CSTS_READY, 0, ready_timeout_ms(nvme));
	}
	noiommu_device_close(&nvme->dev);
	if (nvme->irq >= 0)
		close(nvme->irq);

	noiommu_unmap(nvme->iommu, &nvme->dma);
	munmap(dma.addr, dma.length);
}

int nvme_submit(struct nvme *nvme, unsigned int slot, enum nvme_opcode opcode,
		uint64_t lba, unsigned int nr_blocks,
		const struct noiommu_mem *mem, void *buf)
{
	struct nvme_command command = {
		.opcode = opcode,
		.cid = slot,
		.nsid = NSID,
	};
	int ret;

	if (opcode != NVME_FLUSH) {
		ret = nvme_build_prps(mem, buf,
				      (size_t)nr_blocks * nvme->block_size,
				      nvme->page_size, nvme->slots[slot].list,
				      NVME_PRP_PAGES, command.prp);
		if (ret)
			return noiommu_error(nvme->iommu, -ret,
				"no PRPs for %u blocks at %p: %s", nr_blocks,
				buf, ret == -EINVAL ?
				"the buffer must be aligned to 4 bytes" :
				strerror(-ret));
		command.cdw10 = lba;
		command.cdw11 = lba >> 32;
		command.cdw12 = nr_blocks - 1;
	}

	nvme->slots[slot].busy = true;
	nvme->slots[slot].deadline = now_ms() + COMMAND_TIMEOUT_MS;
	queue_submit(&nvme->io, &command);
	return 0;
}

int nvme_wait(struct nvme *nvme, unsigned int slot)
{
	struct nvme_slot *waiting = &nvme->slots[slot];
	uint16_t cid, status;
	int ret;

	while (waiting->busy) {
		ret = reap(nvme, &cid);
		if (ret < 0)
			return unknown_completion(nvme, cid);
		if (ret)
			continue;
		if (*nvme->cancel)
			return noiommu_error(nvme->iommu, EINTR, "interrupted");
		if (now_ms() > waiting->deadline)
			return command_timeout(nvme, "an I/O command");
		if (nvme->irq < 0)
			continue;
		nvme->nr_waits++;
		ret = noiommu_irq_wait(&nvme->dev, nvme->irq, COMMAND_TIMEOUT_MS);
		if (ret)
			return ret;
	}
	status = waiting->status;
	waiting->status = 0;
	return command_status(nvme, "an I/O command", status);
}
