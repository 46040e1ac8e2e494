// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme-noiommu against a simulated kernel and controller: a controller that
 * misbehaves, and signals at any time
 *
 *   test-nvme [rounds [seed]]
 *
 * The controller runs, and its clock advances, each time the driver looks at the
 * clock. It does DMA only to mapped memory and while Bus Master Enable is set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "nvme.h"
#include "test.h"

#define BDF "0000:00:04.0"
#define PAGE 4096UL
#define BLOCK 512
#define DISK_BLOCKS 4096
#define TRANSFER_BLOCKS 2048	/* of one command line */
#define BAR_SIZE 16384
#define GUARD (1UL << 20)	/* more than the largest doorbell stride */
#define MAX_RANGES 4
#define LOCKED_MEMORY (8 << 20)
#define ENTRIES 64		/* of the largest queue */

enum { IOMMU_FD = 1000, DEVICE_FD };

enum { CAP = 0, VS = 8, CC = 0x14, CSTS = 0x1c, AQA = 0x24, ASQ = 0x28, ACQ = 0x30,
       DOORBELLS = 0x1000 };

enum fault {
	NONE,
	VANISHES,	/* all registers are ones, there is no DMA */
	WRONG_STATUS,	/* of this command */
	SILENT,		/* nothing completes any more */
	FATAL,		/* the same, with CSTS.CFS */
	UNKNOWN_ID,	/* completes a command that does not exist */
	OTHER_ID,	/* completes a command that was not sent */
	IS_RESET,	/* by somebody else: queues and Bus Master Enable are gone */
	GARBAGE,	/* registers and identify data are random from the start on */
	NR_FAULTS
};

static const char *const fault_texts[NR_FAULTS] = {
	[VANISHES] = "is gone from the bus",
	[WRONG_STATUS] = "NVMe status type 0x2, code 0x81",
	[SILENT] = "within 10 s (CSTS 0x1)",
	[FATAL] = "within 10 s (CSTS 0x3, fatal)",
	[UNKNOWN_ID] = "completed command 65535, which was not sent",
	[OTHER_ID] = "completed command 7, which was not sent",
	[IS_RESET] = "within 10 s (CSTS 0)",
};

struct queue {
	uint64_t sq, cq;
	unsigned int size, head, tail, phase;
};

/* Shared with the process that runs nvme-noiommu */
static struct {
	uint8_t disk[DISK_BLOCKS * BLOCK];
	enum fault fault;
	unsigned int at_command;	/* that has the fault, of all commands */
	unsigned int stop_at, stop_signal;
	unsigned int nr_commands, nr_steps, nr_mapped;
	bool faulty;			/* the fault has happened */
	bool open, bus_master;
	char wrong[128];		/* what the driver has done */
} *sim;

static uint8_t *regs;
static bool enabled;
static uint64_t now_ns;
static struct queue queues[2];		/* admin, I/O */
static struct {
	uint64_t start, length;
} ranges[MAX_RANGES];

static void wrong(const char *text)
{
	if (!sim->wrong[0])
		snprintf(sim->wrong, sizeof(sim->wrong), "%s", text);
}

static uint32_t *reg32(unsigned int reg)
{
	return (uint32_t *)(regs + reg);
}

static uint64_t reg64(unsigned int reg)
{
	return *reg32(reg) | (uint64_t)*reg32(reg + 4) << 32;
}

/* No two pages are contiguous */
static uint64_t phys_of(uint64_t address)
{
	return (address ^ PAGE) | 1ULL << 60;
}

static void *dma(uint64_t phys, size_t length)
{
	uint64_t address = phys_of(phys) & ~(1ULL << 60);
	unsigned int i;

	if (!sim->bus_master) {
		wrong("a command was sent while DMA was disabled");
		return NULL;
	}
	for (i = 0; i < MAX_RANGES; i++)
		if (address >= ranges[i].start &&
		    address + length <= ranges[i].start + ranges[i].length)
			return (void *)(uintptr_t)address;
	wrong("DMA to memory that is not mapped");
	return NULL;
}

/* Copy between the disk and the pages of the PRPs */
static void transfer(const struct nvme_command *command)
{
	size_t left = ((command->cdw12 & 0xffff) + 1) * BLOCK, length, entry = 0;
	bool is_list;
	uint8_t *data, *memory;
	uint64_t prp = command->prp[0], *list;

	if (command->cdw10 + left / BLOCK > DISK_BLOCKS) {
		wrong("blocks beyond the end of the disk");
		return;
	}
	data = sim->disk + command->cdw10 * BLOCK;
	length = PAGE - prp % PAGE;
	is_list = left > length + PAGE;
	list = is_list ? dma(command->prp[1], PAGE) : NULL;
	if (is_list && !list)
		return;
	for (;;) {
		if (length > left)
			length = left;
		memory = dma(prp, length);
		if (!memory)
			return;
		if (command->opcode == NVME_WRITE)
			memcpy(data, memory, length);
		else
			memcpy(memory, data, length);
		data += length;
		left -= length;
		if (!left)
			return;
		prp = is_list ? list[entry++] : command->prp[1];
		length = PAGE;
	}
}

static void fill_random(void *buf, size_t length)
{
	uint8_t *bytes = buf;

	while (length--)
		*bytes++ = rand() >> 7;
}

static void identify(const struct nvme_command *command)
{
	uint8_t *data = dma(command->prp[0], PAGE);

	if (!data)
		return;
	memset(data, 0, PAGE);
	if (command->cdw10 == 1) {
		memset(data + 4, ' ', 68);
		memcpy(data + 24, "simulated", 9);
		data[77] = 3;		/* 8 pages per command */
	} else {
		*(uint64_t *)data = DISK_BLOCKS;
		data[130] = 9;		/* 2^9 bytes per block */
	}
	if (sim->fault == GARBAGE)
		fill_random(data, PAGE);
}

static void admin(const struct nvme_command *command)
{
	struct queue *io = &queues[1];

	switch (command->opcode) {
	case 1:
		io->sq = command->prp[0];
		break;
	case 5:
		*io = (struct queue){
			.cq = command->prp[0],
			.size = (command->cdw10 >> 16) + 1,
			.phase = 1,
		};
		break;
	case 6:
		identify(command);
		break;
	}
}

static void complete(unsigned int number, uint16_t cid, uint16_t status)
{
	struct queue *queue = &queues[number];
	struct nvme_completion *entry;

	entry = dma(queue->cq + queue->tail * sizeof(*entry), sizeof(*entry));
	if (!entry)
		return;
	*entry = (struct nvme_completion){
		.sq_head = queue->head,
		.sq_id = number,
		.cid = cid,
		.status = status << 1 | queue->phase,
	};
	if (++queue->tail == queue->size) {
		queue->tail = 0;
		queue->phase ^= 1;
	}
}

static void forget_queues(void)
{
	memset(queues, 0, sizeof(queues));
	memset(regs + DOORBELLS, 0, BAR_SIZE - DOORBELLS);
	*reg32(CSTS) = 0;
	enabled = false;
}

/* The fault of this command. Returns false if it is executed after all. */
static bool misbehave(unsigned int number)
{
	if (sim->nr_commands++ != sim->at_command || sim->fault == NONE ||
	    sim->fault == GARBAGE)
		return false;
	sim->faulty = true;
	switch (sim->fault) {
	case VANISHES:
		memset(regs, 0xff, BAR_SIZE);
		break;
	case WRONG_STATUS:
		return false;
	case FATAL:
		*reg32(CSTS) |= 2;
		break;
	case UNKNOWN_ID:
		complete(number, UINT16_MAX, 0);
		break;
	case OTHER_ID:
		complete(number, 7, 0);
		break;
	case IS_RESET:
		*reg32(CC) = 0;
		forget_queues();
		sim->bus_master = false;
		break;
	default:
		break;
	}
	return true;
}

static void execute(unsigned int number)
{
	struct queue *queue = &queues[number];
	struct nvme_command *entry, command;
	uint16_t status = 0;

	entry = dma(queue->sq + queue->head * sizeof(command), sizeof(command));
	if (!entry)
		return;
	command = *entry;
	queue->head = (queue->head + 1) % queue->size;
	if (misbehave(number))
		return;
	if (sim->fault == WRONG_STATUS && sim->nr_commands - 1 == sim->at_command)
		status = 0x281;
	else if (!number)
		admin(&command);
	else if (command.opcode != NVME_FLUSH)
		transfer(&command);
	complete(number, command.cid, status);
}

/* One step of the controller: at most one command */
static void step(void)
{
	unsigned int number, stride;
	uint32_t cc, tail;

	if (sim->stop_signal && sim->nr_steps == sim->stop_at)
		raise(sim->stop_signal);
	sim->nr_steps++;
	if (!sim->open || (sim->faulty && sim->fault != WRONG_STATUS))
		return;
	cc = *reg32(CC);
	if (!(cc & 1)) {
		if (enabled)
			forget_queues();
		return;
	}
	if (!enabled) {
		enabled = true;
		queues[0] = (struct queue){
			.sq = reg64(ASQ),
			.cq = reg64(ACQ),
			.size = (*reg32(AQA) & 0xfff) + 1,
			.phase = 1,
		};
		*reg32(CSTS) = 1;
	}
	if (cc & 3 << 14)
		*reg32(CSTS) = 1 | 2 << 2;
	stride = 4 << (reg64(CAP) >> 32 & 0xf);
	for (number = 0; number < 2; number++) {
		if (!queues[number].sq)
			continue;
		tail = *reg32(DOORBELLS + 2 * number * stride);
		if (tail >= queues[number].size) {
			wrong("a doorbell beyond the end of the queue");
			return;
		}
		if (tail != queues[number].head) {
			execute(number);
			return;
		}
	}
}

/* The system calls of the driver */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_usleep(useconds_t us);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __real_close(int fd);
void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t at);
void *__real_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t length, off_t at);
ssize_t __real_pread(int fd, void *buf, size_t length, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t length, off_t at);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_noiommu_pci_class(struct noiommu *iommu, const char *bdf, uint32_t *code);
int __wrap_noiommu_device_open(struct noiommu *iommu, const char *bdf,
			       struct noiommu_device *dev);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	step();
	now_ns += 1000000;
	ts->tv_sec = now_ns / 1000000000;
	ts->tv_nsec = now_ns % 1000000000;
	return 0;
}

int __wrap_usleep(useconds_t us)
{
	now_ns += us * 1000ULL;
	return 0;
}

int __wrap_open(const char *path, int flags, ...)
{
	return strcmp(path, "/dev/iommu") ? openat(AT_FDCWD, path, flags, 0600) :
					    IOMMU_FD;
}

int __wrap_close(int fd)
{
	if (fd == DEVICE_FD) {
		if (sim->bus_master)
			wrong("the device was closed while DMA was enabled");
		sim->open = false;
		sim->bus_master = false;
		return 0;
	}
	return fd == IOMMU_FD ? 0 : __real_close(fd);
}

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t at)
{
	uint64_t cap = 1ULL << 37 | 1 << 24 | (ENTRIES - 1);

	if (fd != DEVICE_FD)
		return __real_mmap(addr, length, prot, flags, fd, at);
	/* No register is beyond the BAR */
	regs = __real_mmap(NULL, length + GUARD, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(regs, length, prot);
	memcpy(regs + CAP, &cap, sizeof(cap));
	*reg32(VS) = 0x10400;
	if (sim->fault != GARBAGE)
		return regs;
	fill_random(regs, rand() % 2 ? 8 : 64);
	/* Get past the checks of the command set and of the page size */
	if (rand() % 4) {
		regs[CAP + 4] |= 1 << 5;
		regs[CAP + 6] &= 0xf0;
	}
	return regs;
}

ssize_t __wrap_pread(int fd, void *buf, size_t length, off_t at)
{
	uint16_t command = sim->bus_master ? PCI_COMMAND_MASTER : 0;

	if (fd != DEVICE_FD)
		return __real_pread(fd, buf, length, at);
	if (at != PCI_COMMAND || length != sizeof(command))
		abort();
	memcpy(buf, &command, sizeof(command));
	return sizeof(command);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t length, off_t at)
{
	uint16_t command;

	if (fd != DEVICE_FD || at != PCI_COMMAND || length != sizeof(command))
		abort();
	memcpy(&command, buf, sizeof(command));
	sim->bus_master = command & PCI_COMMAND_MASTER;
	return sizeof(command);
}

static int change_range(uint64_t old_start, uint64_t start, uint64_t length)
{
	unsigned int i;

	for (i = 0; i < MAX_RANGES; i++) {
		if (ranges[i].start != old_start)
			continue;
		ranges[i].start = start;
		ranges[i].length = length;
		return 0;
	}
	errno = ENOENT;
	return -1;
}

static int get_extents(struct noiommu_get_pa *get)
{
	struct noiommu_get_pa_extent *extents = (void *)(uintptr_t)get->extents_uptr;
	uint64_t iova = get->iova, left = get->length;
	unsigned int i;

	for (i = 0; i < get->num_extents && left; i++) {
		extents[i].phys = phys_of(iova);
		extents[i].length = left < PAGE ? left : PAGE;
		iova += extents[i].length;
		left -= extents[i].length;
	}
	get->num_extents = i;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct vfio_region_info *bar;
	struct iommu_ioas_unmap *unmap;
	struct iommu_ioas_map *map;
	va_list args;
	void *arg;

	(void)fd;
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	switch (request) {
	case IOMMU_IOAS_ALLOC:
		return 0;
	case IOMMU_IOAS_MAP:
		map = arg;
		if (map->length > LOCKED_MEMORY) {
			errno = ENOMEM;
			return -1;
		}
		sim->nr_mapped++;
		return change_range(0, map->iova, map->length);
	case IOMMU_IOAS_UNMAP:
		unmap = arg;
		if (sim->bus_master)
			wrong("memory was unmapped while DMA was enabled");
		sim->nr_mapped--;
		return change_range(unmap->iova, 0, 0);
	case IOMMU_IOAS_NOIOMMU_GET_PA:
		return get_extents(arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		bar = arg;
		bar->size = BAR_SIZE;
		bar->flags = VFIO_REGION_INFO_FLAG_MMAP;
		return 0;
	case VFIO_DEVICE_RESET:
		sim->bus_master = false;
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

int __wrap_noiommu_pci_class(struct noiommu *iommu, const char *bdf, uint32_t *code)
{
	(void)iommu;
	(void)bdf;
	*code = NVME_CLASS_CODE;
	return 0;
}

int __wrap_noiommu_device_open(struct noiommu *iommu, const char *bdf,
			       struct noiommu_device *dev)
{
	*dev = (struct noiommu_device){
		.iommu = iommu,
		.fd = DEVICE_FD,
		.can_reset = true,
	};
	snprintf(dev->bdf, sizeof(dev->bdf), "%s", bdf);
	sim->open = true;
	return 0;
}

int nvme_noiommu(int argc, char **argv);

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static int input, output, messages;
static char message[2048];

/* Run a command line in a process of its own, with the file as its data */
static int run(const char *verb, int file)
{
	char path[32], length[32];
	char *argv[] = { "nvme-noiommu", (char *)verb, length, BDF, path, NULL };
	int status, i;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	snprintf(length, sizeof(length), "--length=%d", TRANSFER_BLOCKS * BLOCK);
	sim->nr_commands = 0;
	sim->nr_steps = 0;
	sim->nr_mapped = 0;
	sim->faulty = false;
	sim->wrong[0] = '\0';
	fflush(stdout);
	if (ftruncate(messages, 0))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(messages, STDERR_FILENO);
		lseek(STDERR_FILENO, 0, SEEK_SET);
		srand(sim->stop_at + sim->at_command);
		/* A background process of a shell ignores some, and then the driver does */
		for (i = 0; i < 4; i++)
			signal(signals[i], SIG_DFL);
		exit(nvme_noiommu(5, argv));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	memset(message, 0, sizeof(message));
	if (pread(messages, message, sizeof(message) - 1, 0) < 0)
		return -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("# ended by signal %d\n", WTERMSIG(status));
	return -1;
}

enum { OLD, NEW, NR_GENERATIONS };

/* Each block differs from all others and from that of the other generation */
static void make_block(uint8_t *block, unsigned int number, unsigned int generation)
{
	unsigned int i;

	for (i = 0; i < BLOCK; i += sizeof(uint32_t)) {
		uint32_t word = number << 8 | generation << 4 | 0xf;

		memcpy(block + i, &word, sizeof(word));
	}
}

static void make_disk(void)
{
	unsigned int i;

	for (i = 0; i < DISK_BLOCKS; i++)
		make_block(sim->disk + i * BLOCK, i, OLD);
}

/* All blocks of the transfer are old or new, and new if it has succeeded */
static bool disk_is_whole(bool succeeded)
{
	uint8_t block[NR_GENERATIONS][BLOCK];
	unsigned int i;
	bool is_new;

	for (i = 0; i < DISK_BLOCKS; i++) {
		make_block(block[OLD], i, OLD);
		make_block(block[NEW], i, NEW);
		is_new = !memcmp(sim->disk + i * BLOCK, block[NEW], BLOCK);
		CHECK(is_new || !memcmp(sim->disk + i * BLOCK, block[OLD], BLOCK));
		CHECK(!is_new || i < TRANSFER_BLOCKS);
		CHECK(is_new || !succeeded || i >= TRANSFER_BLOCKS);
	}
	return true;
}

/* What was read is the beginning of the disk */
static bool output_is_right(bool succeeded)
{
	static uint8_t data[TRANSFER_BLOCKS * BLOCK];
	ssize_t length = pread(output, data, sizeof(data), 0);

	CHECK(length >= 0 && !memcmp(data, sim->disk, length));
	CHECK(!succeeded || length == sizeof(data));
	return true;
}

static bool transfers(enum fault fault, bool to_disk, int *status)
{
	sim->fault = fault;
	make_disk();
	*status = run(to_disk ? "write" : "read", to_disk ? input : output);
	/* One line names the error */
	if (sim->wrong[0] || (*status && *status != 1) ||
	    (*status && strchr(message, '\n') != message + strlen(message) - 1)) {
		printf("# status %d, %s, %s\n", *status, sim->wrong, message);
		return false;
	}
	CHECK(!sim->open && !sim->bus_master && !sim->nr_mapped);
	if (fault == GARBAGE)
		return true;
	return to_disk ? disk_is_whole(!*status) : output_is_right(!*status);
}

static bool wrong_drivers_are_noticed(void)
{
	uint16_t master = PCI_COMMAND_MASTER;
	struct iommu_ioas_map map = { .iova = PAGE, .length = PAGE };
	struct iommu_ioas_unmap unmap = { .iova = PAGE, .length = PAGE };

	CHECK(!ioctl(IOMMU_FD, IOMMU_IOAS_MAP, &map));
	CHECK(!dma(phys_of(PAGE), 1) && strstr(sim->wrong, "DMA was disabled"));
	CHECK(pwrite(DEVICE_FD, &master, 2, PCI_COMMAND) == 2);
	CHECK(dma(phys_of(PAGE), PAGE) == (void *)PAGE);
	sim->wrong[0] = '\0';
	CHECK(!dma(phys_of(PAGE), PAGE + 1) && strstr(sim->wrong, "not mapped"));
	sim->wrong[0] = '\0';
	CHECK(!ioctl(IOMMU_FD, IOMMU_IOAS_UNMAP, &unmap));
	CHECK(strstr(sim->wrong, "unmapped while DMA was enabled"));
	sim->wrong[0] = '\0';
	CHECK(!close(DEVICE_FD) && strstr(sim->wrong, "closed while DMA was enabled"));
	return true;
}

static bool healthy_controller_works(void)
{
	int status;

	CHECK(transfers(NONE, true, &status) && !status);
	CHECK(sim->nr_commands == 5 + TRANSFER_BLOCKS / 64 + 1);
	CHECK(transfers(NONE, false, &status) && !status);
	return true;
}

/* Each command of each direction once */
static bool fault_is_reported(enum fault fault)
{
	unsigned int nr_commands, to_disk;
	int status;

	for (to_disk = 0; to_disk < 2; to_disk++) {
		CHECK(transfers(NONE, to_disk, &status) && !status);
		nr_commands = sim->nr_commands;
		for (sim->at_command = 0; sim->at_command < nr_commands; sim->at_command++) {
			/* Up to 8 commands are in flight, but the last one is alone */
			if (fault == OTHER_ID && sim->at_command >= 5 &&
			    (!to_disk || sim->at_command < nr_commands - 1))
				continue;
			CHECK(transfers(fault, to_disk, &status));
			if (status == 1 && strstr(message, fault_texts[fault]))
				continue;
			printf("# command %u: status %d, %s", sim->at_command, status, message);
			return false;
		}
	}
	return true;
}

static bool vanished_controller(void)
{
	return fault_is_reported(VANISHES);
}

static bool wrong_status(void)
{
	return fault_is_reported(WRONG_STATUS);
}

static bool silent_controller(void)
{
	return fault_is_reported(SILENT) && fault_is_reported(FATAL);
}

/* It is silent when the signal arrives */
static bool signal_ends_the_wait(void)
{
	int status;

	CHECK(transfers(NONE, true, &status) && !status);
	sim->at_command = 6;
	sim->stop_at = sim->nr_steps + 1000;
	sim->stop_signal = SIGINT;
	CHECK(transfers(SILENT, true, &status) && status == 1);
	CHECK(strstr(message, "interrupted"));
	sim->stop_signal = 0;
	return true;
}

static bool unknown_completions(void)
{
	return fault_is_reported(UNKNOWN_ID) && fault_is_reported(OTHER_ID);
}

static bool reset_controller(void)
{
	return fault_is_reported(IS_RESET);
}

static unsigned int nr_rounds = 50, seed = 1;

static bool garbage_from_the_controller(void)
{
	unsigned int i;
	int status;

	for (i = 0; i < nr_rounds; i++) {
		sim->at_command = seed + i;
		CHECK(transfers(GARBAGE, i % 2, &status));
	}
	return true;
}

static bool signals_at_any_time(void)
{
	unsigned int i, to_disk, nr_steps[2], interrupted = 0, in_part = 0;
	int status;

	for (to_disk = 0; to_disk < 2; to_disk++) {
		CHECK(transfers(NONE, to_disk, &status) && !status);
		nr_steps[to_disk] = sim->nr_steps;
	}
	srand(seed);
	for (i = 0; i < nr_rounds; i++) {
		to_disk = i % 2;
		sim->stop_signal = signals[rand() % 4];
		sim->stop_at = rand() % nr_steps[to_disk];
		CHECK(transfers(NONE, to_disk, &status));
		CHECK(!status || strstr(message, "interrupted"));
		interrupted += !!status;
		in_part += status && sim->nr_commands > 5;
	}
	sim->stop_signal = 0;
	printf("# %u signals, %u ended it, %u of them among its commands\n",
	       nr_rounds, interrupted, in_part);
	CHECK(interrupted && in_part);
	return true;
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "wrong drivers are noticed", wrong_drivers_are_noticed },
		{ "a healthy controller works", healthy_controller_works },
		{ "the controller vanishes", vanished_controller },
		{ "a command fails", wrong_status },
		{ "the controller does not respond any more", silent_controller },
		{ "a signal ends the wait for a silent controller", signal_ends_the_wait },
		{ "the controller completes what was not sent", unknown_completions },
		{ "the controller is reset by somebody else", reset_controller },
		{ "the controller returns garbage", garbage_from_the_controller },
		{ "signals at any time", signals_at_any_time },
	};
	uint8_t block[BLOCK];
	unsigned int i;

	if (argc > 1)
		nr_rounds = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0);
	sim = mmap(NULL, sizeof(*sim), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	input = memfd_create("input", 0);
	output = memfd_create("output", 0);
	messages = memfd_create("messages", 0);
	for (i = 0; i < TRANSFER_BLOCKS; i++) {
		make_block(block, i, NEW);
		if (write(input, block, BLOCK) != BLOCK)
			return 2;
	}
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
