// SPDX-License-Identifier: GPL-2.0-only
/*
 * interrupted - signals to nvme-noiommu while it reads and writes a disk
 *
 * The kernel has to run with page_poison=1. It reports each free page that was
 * written to when it allocates the page.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "common.h"

enum { BLOCK = 512, NR_BLOCKS = 8192, SIZE = NR_BLOCKS * BLOCK };

static uint64_t page_size, nr_rounds = 5;
static const char *disk;
static struct device edu;
static struct usage at_start;
static struct random generator = { 1 };
static uint32_t generations[NR_BLOCKS];	/* that the disk holds */
static char data[SIZE];

/* Each block differs from all others, and from what it was before */
static void make_block(char *block, uint32_t number, uint32_t generation)
{
	const uint64_t word = (uint64_t)number << 32 | generation;
	unsigned int i;

	for (i = 0; i < BLOCK; i += sizeof(word))
		memcpy(block + i, &word, sizeof(word));
}

/* The kernel's reports of free pages that were written to */
static unsigned int nr_reports(void)
{
	static char log[1 << 20];
	int length = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1);
	unsigned int nr = 0;
	const char *line;

	if (length < 0)
		die("cannot read the kernel log: %s", strerror(errno));
	log[length] = '\0';
	for (line = log; (line = strstr(line, "pagealloc: ")); line++)
		nr += !strncmp(line, "pagealloc: memory corruption", 28) ||
		      !strncmp(line, "pagealloc: single bit error", 27);
	return nr;
}

/* Allocate nearly all free memory, so that the kernel checks it */
static unsigned int check_free_pages(void)
{
	uint64_t size = read_counter("/proc/meminfo", "MemFree") * 1024 / 10 * 9;
	pid_t pid = fork_child();

	if (!pid) {
		map_memory(size, MAP_PRIVATE | MAP_POPULATE);
		_exit(0);
	}
	if (!succeeds(pid))
		die("cannot allocate %lu bytes", size);
	return nr_reports();
}

/* Run nvme-noiommu with @fd as its standard input or output */
static pid_t start(const char *verb, int fd)
{
	char length[32];
	pid_t pid;

	snprintf(length, sizeof(length), "--length=%d", SIZE);
	pid = fork_child();
	if (!pid) {
		dup2(fd, verb[0] == 'w' ? 0 : 1);
		dup2(open("/tmp/nvme.log", O_RDWR | O_CREAT | O_TRUNC, 0600), 2);
		execl("/programs/nvme-noiommu", "nvme-noiommu", verb, length, disk,
		      NULL);
		_exit(127);
	}
	return pid;
}

static const char *read_log(void)
{
	static char log[1024];
	int fd = open_file("/tmp/nvme.log", O_RDONLY);

	memset(log, 0, sizeof(log));
	if (fd < 0 || read(fd, log, sizeof(log) - 1) < 0)
		die("cannot read /tmp/nvme.log");
	close(fd);
	return log;
}

/* Returns false */
static bool show_log(void)
{
	printf("# %s\n", read_log());
	return false;
}

/* Returns how many bytes of @data it has transferred */
static uint64_t transfer(int fd, uint64_t length, bool to_disk)
{
	uint64_t done = 0;
	ssize_t ret;

	while (done < length) {
		ret = to_disk ? write(fd, data + done, length - done) :
				read(fd, data + done, length - done);
		if (ret <= 0)
			break;
		done += ret;
	}
	return done;
}

static void new_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC))
		die("pipe failed: %s", strerror(errno));
}

/* Each block is as it was or of @generation */
static bool disk_is_whole(uint32_t generation, unsigned int *nr_new)
{
	char old_block[BLOCK], new_block[BLOCK];
	unsigned int i, nr_old = 0, nr_wrong = 0;
	int fds[2];
	pid_t pid;

	new_pipe(fds);
	pid = start("read", fds[1]);
	close(fds[1]);
	if (!CHECK(transfer(fds[0], SIZE, false) == SIZE) || !succeeds(pid))
		return show_log();
	close(fds[0]);
	for (i = 0; i < NR_BLOCKS; i++) {
		make_block(old_block, i, generations[i]);
		make_block(new_block, i, generation);
		if (!memcmp(data + i * BLOCK, new_block, BLOCK))
			generations[i] = generation;
		else if (!memcmp(data + i * BLOCK, old_block, BLOCK))
			nr_old++;
		else if (!nr_wrong++)
			printf("# block %u is neither old nor new\n", i);
	}
	*nr_new = NR_BLOCKS - nr_old;
	return CHECK(!nr_wrong);
}

/* A random time after the first @length bytes */
static bool interrupt(pid_t pid, bool *ended)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGKILL };
	int signal = signals[random_below(&generator, 3)], status;
	unsigned int wait = 1 << random_below(&generator, 13);

	while (wait--)
		sched_yield();
	if (kill(pid, signal) || waitpid(pid, &status, 0) != pid)
		die("cannot kill nvme-noiommu: %s", strerror(errno));
	*ended = status;
	/* Before it catches signals, it is killed by any of them */
	if (!status || (WIFSIGNALED(status) && WTERMSIG(status) == signal))
		return true;
	return (CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1) &&
		CHECK(strstr(read_log(), "interrupted"))) || show_log();
}

static void write_everything(uint32_t generation)
{
	unsigned int i;

	for (i = 0; i < NR_BLOCKS; i++)
		make_block(data + i * BLOCK, i, generation);
}

static bool interrupted_writes(void)
{
	unsigned int nr_ended = 0, nr_partial = 0, nr_new, reports = nr_reports();
	uint64_t round;
	int fds[2];
	pid_t pid;
	bool ended;

	new_pipe(fds);
	write_everything(1);
	pid = start("write", fds[0]);
	close(fds[0]);
	if (!CHECK(transfer(fds[1], SIZE, true) == SIZE) || !succeeds(pid))
		return show_log();
	close(fds[1]);
	if (!disk_is_whole(1, &nr_new) || !CHECK(nr_new == NR_BLOCKS))
		return false;

	for (round = 0; round < nr_rounds; round++) {
		uint64_t length = random_below(&generator, SIZE + 1);

		new_pipe(fds);
		write_everything(2 + round);
		pid = start("write", fds[0]);
		close(fds[0]);
		if (!CHECK(transfer(fds[1], length, true) == length) ||
		    !interrupt(pid, &ended) || !disk_is_whole(2 + round, &nr_new) ||
		    !CHECK(usage_becomes(at_start)))
			return false;
		close(fds[1]);
		nr_ended += ended;
		nr_partial += nr_new && nr_new < NR_BLOCKS;
	}
	printf("# %lu signals, %u ended it, %u after a part of the blocks\n", nr_rounds,
	       nr_ended, nr_partial);
	return CHECK(nr_ended) && CHECK(check_free_pages() == reports);
}

/* While commands are in flight, as the pipe is full */
static bool interrupted_reads(void)
{
	unsigned int nr_ended = 0, reports = nr_reports();
	uint64_t round;
	int fds[2];
	pid_t pid;
	bool ended;

	for (round = 0; round < nr_rounds; round++) {
		uint64_t length = random_below(&generator, SIZE);

		new_pipe(fds);
		pid = start("read", fds[1]);
		close(fds[1]);
		if (!CHECK(transfer(fds[0], length, false) == length) ||
		    !interrupt(pid, &ended) || !CHECK(usage_becomes(at_start)))
			return false;
		close(fds[0]);
		nr_ended += ended;
	}
	printf("# %lu signals, %u ended it\n", nr_rounds, nr_ended);
	return CHECK(nr_ended) && CHECK(check_free_pages() == reports);
}

/* What a driver must not do: DMA to memory that was given back */
static bool late_dma_is_noticed(void)
{
	const uint64_t size = 8 << 20;
	struct vfio_region_info bar;
	uint64_t iova = 0, length = page_size, phys;
	unsigned int reports = check_free_pages();
	struct user user;
	void *va, *regs;

	if (user_open(&user, edu.node))
		die("cannot use %s", edu.bdf);
	device_bar(user.fd, &bar);
	device_command(user.fd, PCI_COMMAND_MASTER, 0);
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, user.fd,
		    bar.offset);
	va = map_memory(size, MAP_PRIVATE | MAP_POPULATE);
	/* In the middle: nobody else gets this page soon */
	if (regs == MAP_FAILED ||
	    ioas_map(user.iommufd, user.ioas_id, va + size / 2, page_size, &iova,
		     MAP_AT) ||
	    get_pa(user.iommufd, user.ioas_id, 0, &length, &phys) ||
	    ioas_unmap(user.iommufd, user.ioas_id, 0, &length))
		die("cannot map memory");
	munmap(va, size);
	edu_start_dma(regs, phys, 64);
	while (edu_is_busy(regs))
		sched_yield();
	munmap(regs, bar.size);
	user_close(&user);
	return CHECK(check_free_pages() == reports + 1);
}

static const struct test tests[] = {
	{ "DMA to memory that was given back is noticed", late_dma_is_noticed },
	{ "interrupted writes leave whole blocks", interrupted_writes },
	{ "interrupted reads leave free memory alone", interrupted_reads },
};

int main(int argc, char **argv)
{
	const char *selected = "";
	cpu_set_t one;
	int option;

	page_size = getpagesize();
	/* Each CPU keeps pages that it has freed. No other one could check them */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("cannot stay on one CPU");
	while ((option = getopt(argc, argv, "r:s:t:")) >= 0)
		switch (option) {
		case 'r': nr_rounds = number_of(optarg); break;
		case 's': generator.state = number_of(optarg); break;
		case 't': selected = optarg; break;
		default: die("usage: interrupted [-r rounds] [-s seed] [-t part of a test's name] DISK EDU");
		}
	if (argc - optind != 2)
		die("a disk and an edu device are required");
	disk = argv[optind];
	device_find(&edu, argv[optind + 1]);
	signal(SIGPIPE, SIG_IGN);
	at_start = usage_now();
	return run_tests(tests, ARRAY_SIZE(tests), selected);
}
