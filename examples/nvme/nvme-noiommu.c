// SPDX-License-Identifier: GPL-2.0-only
/* nvme-noiommu - read and write an NVMe disk from user space, without an IOMMU */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/mman.h>

#include "info.h"
#include "noiommu.h"
#include "nvme.h"

#define EXIT_USAGE 2

/*
 * Together with the queues this stays below 8 MiB, the RLIMIT_MEMLOCK default of
 * distributions.
 */
#define BUFFER_MEMORY (6U << 20)
#define HUGE_PAGE (2UL << 20)
#define PAGE 4096UL
#define MAX_BLOCK 4096
/* Aligned to 4 bytes only, the minimum for PRPs */
#define UNALIGNED_OFFSET 1028
#define POISON 0xa5
#define UNKNOWN UINT64_MAX

enum memory_kind { MEMORY_4K, MEMORY_THP, MEMORY_2M };

static const char *const memory_names[] = {
	[MEMORY_4K] = "4k",
	[MEMORY_THP] = "thp",
	[MEMORY_2M] = "2m",
};

static const char *const irq_names[] = {
	[NVME_POLL] = "none",
	[NVME_INTX] = "intx",
	[NVME_MSIX] = "msix",
};

struct options {
	const char *bdf;
	const char *file;
	int fd;			/* of the input */
	uint64_t offset;
	uint64_t length;	/* UNKNOWN: not given */
	enum memory_kind memory;
	enum nvme_irq irq;
	bool unaligned;
	bool verbose;
};

/* One read or write command line */
struct job {
	struct noiommu iommu;
	struct nvme nvme;
	struct noiommu_mem mem;
	char *pool;		/* the allocation that holds mem */
	size_t pool_size;
	char *buffers;		/* one chunk per slot */
	char *bounce;		/* one block */
	size_t chunk;		/* bytes of one command */
	unsigned int depth;
	uint64_t disk_size;
	uint64_t total;		/* UNKNOWN: until the end of a pipe */
	uint64_t done;
	uint64_t started_ms;
	uint64_t shown_ms;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	if (signal != SIGALRM)
		stop = signal;
	/* Interrupts a system call entered after the check of stop, too */
	alarm(1);
}

/*
 * The controller must be stopped before its memory is unpinned. Catch all
 * signals that would end the process before that.
 */
static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM };
	struct sigaction action = { .sa_handler = on_signal }, old;
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

static int fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("nvme-noiommu: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void show_progress(struct job *job)
{
	uint64_t now = now_ms();

	if (!isatty(STDERR_FILENO) || now - job->shown_ms < 200)
		return;
	job->shown_ms = now;
	fprintf(stderr, "%.1f MiB", job->done / 1048576.0);
	if (job->total != UNKNOWN)
		fprintf(stderr, ", %.0f %%", 100.0 * job->done / job->total);
	/* The next output overwrites this line */
	fputs("\033[K\r", stderr);
}

static void show_result(struct job *job, const char *verb)
{
	double seconds = (now_ms() - job->started_ms) / 1000.0;

	fprintf(stderr, "%s %llu bytes in %.3f s, %.1f MiB/s\n", verb,
		(unsigned long long)job->done, seconds,
		seconds > 0 ? job->done / 1048576.0 / seconds : 0);
}

static void show_device(const struct noiommu_device *dev)
{
	fprintf(stderr, "bind: %s, /dev/vfio/devices/%s, is iommufd device %u\n",
		dev->bdf, dev->node, dev->dev_id);
	fprintf(stderr, "attach: IOAS %u, HWPT %u\n", dev->iommu->ioas_id,
		dev->hwpt_id);
}

static void show_extents(const struct noiommu_mem *mem, enum memory_kind kind)
{
	uint64_t smallest = UINT64_MAX, largest = 0;
	const struct noiommu_extent *extent;
	size_t i;

	for (i = 0; i < mem->nr_extents; i++) {
		extent = &mem->extents[i];
		if (extent->length < smallest)
			smallest = extent->length;
		if (extent->length > largest)
			largest = extent->length;
	}
	fprintf(stderr, "memory: %zu bytes (%s) in %zu extents of %llu to %llu bytes\n",
		mem->length, memory_names[kind], mem->nr_extents,
		(unsigned long long)smallest, (unsigned long long)largest);
	for (i = 0; i < mem->nr_extents && i < 8; i++) {
		extent = &mem->extents[i];
		fprintf(stderr, "  IOVA %#llx PA %#llx length %llu\n",
			(unsigned long long)extent->iova,
			(unsigned long long)extent->pa,
			(unsigned long long)extent->length);
	}
	if (i < mem->nr_extents)
		fprintf(stderr, "  and %zu more\n", mem->nr_extents - i);
}

/*
 * Fault memory in, with a pattern that differs from the expected data. Touch
 * every second page first, to scatter 4 KiB pages.
 */
static void fault_in(char *addr, size_t length)
{
	size_t first, at;

	for (first = 0; first < 2 * PAGE; first += PAGE) {
		for (at = first; at < length; at += 2 * PAGE)
			memset(addr + at, POISON, PAGE);
	}
}

static int alloc_memory(struct job *job, enum memory_kind kind, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *start;

	job->pool_size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	if (kind == MEMORY_2M)
		flags |= MAP_HUGETLB | MAP_HUGE_2MB;
	else
		job->pool_size += HUGE_PAGE;	/* room to align the start */

	job->pool = mmap(NULL, job->pool_size, PROT_READ | PROT_WRITE, flags,
			 -1, 0);
	if (job->pool == MAP_FAILED) {
		job->pool = NULL;
		if (kind == MEMORY_2M)
			return fail("no huge pages (%s): echo %zu > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages, or use --memory=4k",
				    strerror(errno), job->pool_size / HUGE_PAGE);
		return fail("cannot allocate %zu bytes: %s", job->pool_size,
			    strerror(errno));
	}

	start = job->pool + -(uintptr_t)job->pool % HUGE_PAGE;
	if (kind == MEMORY_4K)
		madvise(start, size, MADV_NOHUGEPAGE);
	if (kind == MEMORY_THP && madvise(start, size, MADV_HUGEPAGE))
		return fail("no transparent huge pages (%s): the kernel needs CONFIG_TRANSPARENT_HUGEPAGE",
			    strerror(errno));

	fault_in(start, size);
	if (noiommu_map(&job->iommu, start, size, &job->mem))
		return fail("%s", job->iommu.error);
	return EXIT_SUCCESS;
}

static int prepare_transfer(struct job *job, const struct options *opt)
{
	size_t shift = opt->unaligned ? UNALIGNED_OFFSET : 0, size;
	size_t page = sysconf(_SC_PAGESIZE);
	int ret;

	if (opt->offset > job->disk_size)
		return fail("offset %llu is beyond the end of the disk, %llu bytes",
			    (unsigned long long)opt->offset,
			    (unsigned long long)job->disk_size);

	job->chunk = job->nvme.max_transfer;
	job->depth = BUFFER_MEMORY / job->chunk;
	if (job->depth > job->nvme.depth)
		job->depth = job->nvme.depth;

	size = shift + job->depth * job->chunk + MAX_BLOCK;
	size = (size + page - 1) / page * page;
	ret = alloc_memory(job, opt->memory, size);
	if (ret)
		return ret;
	job->buffers = (char *)job->mem.addr + shift;
	job->bounce = job->buffers + job->depth * job->chunk;
	if (opt->verbose)
		show_extents(&job->mem, opt->memory);
	job->started_ms = now_ms();
	job->shown_ms = job->started_ms;
	return EXIT_SUCCESS;
}

static int fail_transfer(const char *verb, const char *name)
{
	if (errno == EINTR)
		return fail("interrupted");
	return fail("cannot %s %s: %s", verb, name, strerror(errno));
}

/* Returns less than @length only at the end of the input; -1 on errors */
static ssize_t read_input(int fd, char *buf, size_t length)
{
	size_t done = 0;
	ssize_t ret;

	while (done < length && !stop) {
		ret = read(fd, buf + done, length - done);
		if (!ret)
			return done;
		if (ret > 0)
			done += ret;
		else if (errno != EINTR)
			return -1;
	}
	if (done == length)
		return done;
	errno = EINTR;
	return -1;
}

static int write_output(int fd, const char *buf, size_t length)
{
	ssize_t ret;

	while (length && !stop) {
		ret = write(fd, buf, length);
		if (ret < 0 && errno != EINTR)
			return -1;
		if (ret > 0) {
			buf += ret;
			length -= ret;
		}
	}
	errno = EINTR;
	return length ? -1 : 0;
}

static int read_block(struct job *job, unsigned int slot, uint64_t lba)
{
	int ret = nvme_submit(&job->nvme, slot, NVME_READ, lba, 1, &job->mem,
			      job->bounce);

	return ret ? ret : nvme_wait(&job->nvme, slot);
}

/*
 * Read the disk's data around the @length bytes at @head into the first and last
 * block of @buf, so that writing whole blocks does not change it.
 */
static int keep_edges(struct job *job, unsigned int slot, char *buf,
		      uint64_t lba, size_t head, size_t length)
{
	size_t block = job->nvme.block_size;
	size_t end = head + length, tail = end % block;
	int ret;

	if (head) {
		ret = read_block(job, slot, lba);
		if (ret)
			return ret;
		memcpy(buf, job->bounce, head);
	}
	if (tail) {
		ret = read_block(job, slot, lba + end / block);
		if (ret)
			return ret;
		memcpy(buf + end, job->bounce + tail, block - tail);
	}
	return 0;
}

/* Wait for all commands, then flush the disk's write cache */
static int finish_writing(struct job *job)
{
	unsigned int slot;
	int ret;

	for (slot = 0; slot < job->depth; slot++) {
		ret = nvme_wait(&job->nvme, slot);
		if (ret)
			return ret;
	}
	ret = nvme_submit(&job->nvme, 0, NVME_FLUSH, 0, 0, NULL, NULL);
	return ret ? ret : nvme_wait(&job->nvme, 0);
}

/* Set the number of bytes to write, if the size of the input is known */
static int plan_write(struct job *job, const struct options *opt)
{
	uint64_t room = job->disk_size - opt->offset, size = UNKNOWN;
	struct stat st;
	off_t at;

	if (!fstat(opt->fd, &st) && S_ISREG(st.st_mode)) {
		at = lseek(opt->fd, 0, SEEK_CUR);
		size = at < st.st_size ? st.st_size - at : 0;
	}
	job->total = opt->length < size ? opt->length : size;
	if (opt->length != UNKNOWN && job->total < opt->length)
		return fail("the input has %llu bytes, less than --length=%llu; nothing was written",
			    (unsigned long long)size,
			    (unsigned long long)opt->length);
	if (job->total != UNKNOWN && job->total > room)
		return fail("the disk is too small: %llu bytes do not fit into the %llu after offset %llu; nothing was written",
			    (unsigned long long)job->total,
			    (unsigned long long)room,
			    (unsigned long long)opt->offset);
	return EXIT_SUCCESS;
}

static int transfer_to_disk(struct job *job, const struct options *opt)
{
	size_t block = job->nvme.block_size, head, want;
	uint64_t pos = opt->offset, end, lba;
	unsigned int slot = 0;
	bool ended = false;
	ssize_t length;
	char *buf, next;
	int ret;

	ret = prepare_transfer(job, opt);
	if (!ret)
		ret = plan_write(job, opt);
	if (ret)
		return ret;

	end = job->total == UNKNOWN ? job->disk_size : pos + job->total;
	while (pos < end && !ended) {
		buf = job->buffers + slot * job->chunk;
		if (nvme_wait(&job->nvme, slot))
			return fail("%s", job->iommu.error);

		lba = pos / block;
		head = pos % block;
		want = job->chunk - head;
		if (want > end - pos)
			want = end - pos;
		length = read_input(opt->fd, buf + head, want);
		if (length < 0)
			return fail_transfer("read", opt->file);
		ended = (size_t)length < want;
		if (!length)
			break;

		if (keep_edges(job, slot, buf, lba, head, length) ||
		    nvme_submit(&job->nvme, slot, NVME_WRITE, lba,
				(head + length + block - 1) / block, &job->mem,
				buf))
			return fail("%s", job->iommu.error);
		pos += length;
		job->done += length;
		slot = (slot + 1) % job->depth;
		show_progress(job);
	}
	if (finish_writing(job))
		return fail("%s", job->iommu.error);

	if (job->total == UNKNOWN && !ended) {
		length = read_input(opt->fd, &next, 1);
		if (length < 0)
			return fail_transfer("read", opt->file);
		if (length)
			return fail("the disk is full after %llu bytes and the input has more",
				    (unsigned long long)job->done);
	}
	if (job->total != UNKNOWN && job->done < job->total)
		return fail("the input ended after %llu of %llu bytes",
			    (unsigned long long)job->done,
			    (unsigned long long)job->total);
	show_result(job, "wrote");
	return EXIT_SUCCESS;
}

static const char *output_name(const struct options *opt)
{
	return opt->file ? opt->file : "standard output";
}

/* Start the read of chunk @nr, counted from the block of the offset */
static int submit_read(struct job *job, const struct options *opt, uint64_t nr)
{
	size_t block = job->nvme.block_size;
	uint64_t start = opt->offset / block * block + nr * job->chunk;
	uint64_t length = opt->offset + job->total - start;
	unsigned int slot = nr % job->depth;

	if (length > job->chunk)
		length = job->chunk;
	return nvme_submit(&job->nvme, slot, NVME_READ, start / block,
			   (length + block - 1) / block, &job->mem,
			   job->buffers + slot * job->chunk);
}

static int copy_from_disk(struct job *job, const struct options *opt, int fd)
{
	size_t head = opt->offset % job->nvme.block_size, length;
	uint64_t submitted = 0, nr, nr_chunks;
	unsigned int slot;

	nr_chunks = (head + job->total + job->chunk - 1) / job->chunk;
	if (!job->total)
		nr_chunks = 0;
	for (nr = 0; nr < nr_chunks; nr++) {
		while (submitted < nr_chunks && submitted < nr + job->depth) {
			if (submit_read(job, opt, submitted++))
				return fail("%s", job->iommu.error);
		}
		slot = nr % job->depth;
		if (nvme_wait(&job->nvme, slot))
			return fail("%s", job->iommu.error);

		length = job->chunk - head;
		if (length > job->total - job->done)
			length = job->total - job->done;
		if (write_output(fd, job->buffers + slot * job->chunk + head,
				 length))
			return fail_transfer("write", output_name(opt));
		head = 0;
		job->done += length;
		show_progress(job);
	}
	return EXIT_SUCCESS;
}

static int transfer_from_disk(struct job *job, const struct options *opt)
{
	int ret, fd = STDOUT_FILENO;
	uint64_t room;

	ret = prepare_transfer(job, opt);
	if (ret)
		return ret;
	room = job->disk_size - opt->offset;
	job->total = opt->length == UNKNOWN ? room : opt->length;
	if (job->total > room)
		return fail("the disk has only %llu bytes after offset %llu",
			    (unsigned long long)room,
			    (unsigned long long)opt->offset);

	if (opt->file) {
		fd = open(opt->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			  0666);
		if (fd < 0)
			return fail("cannot open %s: %s", opt->file,
				    strerror(errno));
	}
	ret = copy_from_disk(job, opt, fd);
	if (close(fd) && !ret)
		ret = fail_transfer("write", output_name(opt));
	if (!ret)
		show_result(job, "read");
	return ret;
}

static int show_identity(struct job *job, const struct options *opt)
{
	const struct nvme *nvme = &job->nvme;

	(void)opt;
	printf("model           %s\n", nvme->model);
	printf("serial          %s\n", nvme->serial);
	printf("firmware        %s\n", nvme->firmware);
	printf("NVMe version    %u.%u.%u\n", nvme->version >> 16,
	       nvme->version >> 8 & 0xff, nvme->version & 0xff);
	printf("size            %llu bytes\n",
	       (unsigned long long)job->disk_size);
	printf("block size      %u bytes\n", nvme->block_size);
	printf("transfer size   %zu bytes at most\n", nvme->max_transfer);
	return EXIT_SUCCESS;
}

static int with_disk(const struct options *opt,
		     int (*use)(struct job *job, const struct options *opt))
{
	struct job job = {};
	int ret;

	if (noiommu_open(&job.iommu))
		return fail("%s", job.iommu.error);
	if (nvme_open(&job.nvme, &job.iommu, opt->bdf, opt->irq, &stop)) {
		noiommu_close(&job.iommu);
		return fail("%s", job.iommu.error);
	}
	job.disk_size = job.nvme.nr_blocks * job.nvme.block_size;
	if (opt->verbose)
		show_device(&job.nvme.dev);

	ret = use(&job, opt);
	if (opt->verbose && opt->irq != NVME_POLL)
		fprintf(stderr, "interrupts: waited %u times\n",
			job.nvme.nr_waits);

	/* Stops DMA to the buffers before they are unpinned */
	nvme_close(&job.nvme);
	noiommu_unmap(&job.iommu, &job.mem);
	if (job.pool)
		munmap(job.pool, job.pool_size);
	noiommu_close(&job.iommu);
	return ret;
}

static int info_command(struct options *opt)
{
	(void)opt;
	return show_info();
}

static int identify_command(struct options *opt)
{
	return with_disk(opt, show_identity);
}

static int write_command(struct options *opt)
{
	if (!opt->file) {
		opt->file = "standard input";
		opt->fd = STDIN_FILENO;
	} else {
		opt->fd = open(opt->file, O_RDONLY | O_CLOEXEC);
		if (opt->fd < 0)
			return fail("cannot open %s: %s", opt->file,
				    strerror(errno));
	}
	return with_disk(opt, transfer_to_disk);
}

static int read_command(struct options *opt)
{
	return with_disk(opt, transfer_from_disk);
}

static const struct command {
	const char *name;
	int (*run)(struct options *opt);
	int min_arguments;
	int max_arguments;
	const char *usage;
	const char *help;
} commands[] = {
	{ "info", info_command, 0, 0, "",
	  "Show what noiommu mode requires, and what is missing on this machine." },
	{ "identify", identify_command, 1, 1, " [--verbose] <PCI address>",
	  "Show model, serial number and size of a disk." },
	{ "read", read_command, 1, 2, " [options] <PCI address> [file]",
	  "Copy the disk, or part of it, to a file or standard output." },
	{ "write", write_command, 1, 2, " [options] <PCI address> [file]",
	  "Overwrite the disk with a file or standard input." },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char transfer_options[] =
	"\n"
	"Options:\n"
	"  --offset=N          start at byte N of the disk; K, M, G, T are powers of 1024\n"
	"  --length=N          copy N bytes\n"
	"  --memory=4k|thp|2m  buffers in scattered 4 KiB pages (the default), transparent\n"
	"                      huge pages, or reserved 2 MiB pages\n"
	"  --interrupts=none|intx|msix\n"
	"                      poll for completions (the default), or wait for interrupts\n"
	"  --unaligned         buffers that start in the middle of a page, for tests\n"
	"  --verbose           show the binding and the extents\n";

static void print_command_help(const struct command *command)
{
	printf("Usage: nvme-noiommu %s%s\n\n%s\n", command->name,
	       command->usage, command->help);
	if (command->max_arguments > 1)
		fputs(transfer_options, stdout);
}

static void print_help(void)
{
	size_t i;

	printf("Usage: nvme-noiommu <command> [options] ...\n\n"
	       "An NVMe driver in user space, for disks that are not behind an IOMMU.\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %s%s\n      %s\n", commands[i].name,
		       commands[i].usage, commands[i].help);
	printf("\n'nvme-noiommu <command> --help' shows the options of a command.\n"
	       "Exit status: 0 success, 1 failure, 2 wrong usage.\n");
}

static int usage_error(const char *fmt, ...)
{
	va_list args;

	fputs("nvme-noiommu: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; see --help\n", stderr);
	return EXIT_USAGE;
}

static bool parse_size(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	unsigned int shift = 0;
	const char *unit;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || text[0] == '-')
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		shift = 10 * (unit - units + 1);
	}
	if (*value >> (63 - shift))
		return false;
	*value <<= shift;
	return true;
}

/* The position of @text among three names, or -1 */
static int parse_name(const char *text, const char *const names[3])
{
	int i;

	for (i = 0; i < 3; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	return -1;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	enum { OFFSET = 256, LENGTH, MEMORY, INTERRUPTS, UNALIGNED };
	static const struct option long_options[] = {
		{ "offset", required_argument, NULL, OFFSET },
		{ "length", required_argument, NULL, LENGTH },
		{ "memory", required_argument, NULL, MEMORY },
		{ "interrupts", required_argument, NULL, INTERRUPTS },
		{ "unaligned", no_argument, NULL, UNALIGNED },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct options opt = { .length = UNKNOWN };
	const struct command *command;
	bool help = false;
	int option, status, name;

	while ((option = getopt_long(argc, argv, "hv", long_options, NULL)) != -1) {
		switch (option) {
		case OFFSET:
			if (!parse_size(optarg, &opt.offset))
				return usage_error("'%s' is not a size", optarg);
			break;
		case LENGTH:
			if (!parse_size(optarg, &opt.length))
				return usage_error("'%s' is not a size", optarg);
			break;
		case MEMORY:
			name = parse_name(optarg, memory_names);
			if (name < 0)
				return usage_error("'%s' is not a kind of memory",
						   optarg);
			opt.memory = name;
			break;
		case INTERRUPTS:
			name = parse_name(optarg, irq_names);
			if (name < 0)
				return usage_error("'%s' is not a kind of interrupt",
						   optarg);
			opt.irq = name;
			break;
		case UNALIGNED:
			opt.unaligned = true;
			break;
		case 'v':
			opt.verbose = true;
			break;
		case 'h':
			help = true;
			break;
		default:
			return EXIT_USAGE;
		}
	}
	argc -= optind;
	argv += optind;

	if (!argc) {
		if (!help)
			return usage_error("no command");
		print_help();
		return EXIT_SUCCESS;
	}
	command = find_command(argv[0]);
	if (!command)
		return usage_error("no command '%s'", argv[0]);
	if (help) {
		print_command_help(command);
		return EXIT_SUCCESS;
	}
	if (argc - 1 < command->min_arguments)
		return usage_error("%s needs the PCI address of a disk",
				   command->name);
	if (argc - 1 > command->max_arguments)
		return usage_error("too many arguments for %s", command->name);
	if (argc > 1)
		opt.bdf = argv[1];
	if (argc > 2)
		opt.file = argv[2];

	catch_signals();
	status = command->run(&opt);
	if (fflush(stdout))
		status = fail("cannot write standard output: %s",
			      strerror(errno));
	return status;
}
