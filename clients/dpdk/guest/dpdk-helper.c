// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of DPDK need and a shell cannot do:
 *   dpdk-helper user BYTES CAPABILITY COMMAND...   run as uid 1000 with this RLIMIT_MEMLOCK and
 *                                                  exactly this capability (17 is SYS_RAWIO), or
 *                                                  none (-)
 *   dpdk-helper fragment NODE MIB RESERVE          leave so much of a node free in single pages,
 *                                                  and RESERVE MiB as it is
 *   dpdk-helper move PID ROUNDS                    migrate the pages of a process and compact
 *                                                  memory, again and again
 *   dpdk-helper tty COMMAND...                     run with a terminal as stdout, so that lines
 *                                                  come out when they are printed
 * "fragment" prints a line when it is ready, and holds its memory until it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/mempolicy.h>

#define USER 1000
#define PAGE 4096

static int fail(const char *what)
{
	fprintf(stderr, "dpdk-helper: %s: %s\n", what, strerror(errno));
	return 1;
}

static int user(char **argv)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	struct rlimit limit;
	int cap = -1;

	limit.rlim_cur = limit.rlim_max = strtoull(argv[0], NULL, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || prctl(PR_SET_KEEPCAPS, 1) ||
	    setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		return fail("becoming a user");
	if (strcmp(argv[1], "-")) {
		cap = atoi(argv[1]);
		data[0].effective = data[0].permitted = data[0].inheritable = 1u << cap;
	}
	if (syscall(SYS_capset, &header, data) ||
	    (cap >= 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0)))
		return fail("setting the capability");
	execvp(argv[2], argv + 2);
	return fail(argv[2]);
}

static size_t free_bytes(unsigned int node)
{
	unsigned long long kib = 0;
	char path[64], line[128];
	FILE *info;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", node);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info))
		sscanf(line, "Node %*u MemFree: %llu", &kib);
	if (info)
		fclose(info);
	return kib << 10;
}

/* Give back @bytes of @memory, in pages whose physical page number is odd. Returns what is still to do. */
static size_t give_back(int pagemap, char *memory, size_t size, size_t bytes)
{
	uint64_t entry;
	size_t i;

	for (i = 0; bytes && i < size; i += PAGE) {
		if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)(memory + i) / PAGE * 8) != 8)
			exit(fail("reading pagemap"));
		if (!(entry & 1))
			continue;
		if (madvise(memory + i, PAGE, MADV_DONTNEED_LOCKED))
			exit(fail("madvise"));
		bytes -= PAGE;
	}
	return bytes;
}

/*
 * Take all free memory of a node but a reserve, and give back single pages. The pages next to them are kept,
 * so the kernel cannot merge them. Take also what becomes free meanwhile.
 */
static int fragment(unsigned int node, size_t bytes, size_t reserve)
{
	const size_t least = 4 << 20;
	struct { char *memory; size_t size; } taken[64];
	const unsigned long nodes = 1UL << node;
	unsigned int i, n = 0, still = 0;
	size_t free;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	if (pagemap < 0 || syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64))
		return fail("pagemap and policy");
	/* the kernel returns the memory of the previous test little by little */
	for (; n < 64 && still < 20; still++) {
		free = free_bytes(node);
		if (free <= reserve + least) {
			usleep(20000);
			continue;
		}
		still = 0;
		taken[n].size = (free - reserve) & -PAGE;
		taken[n].memory = mmap(NULL, taken[n].size, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		/* what is locked stays where it is, if vm.compact_unevictable_allowed is 0 */
		if (taken[n].memory == MAP_FAILED ||
		    madvise(taken[n].memory, taken[n].size, MADV_NOHUGEPAGE) ||
		    mlock(taken[n].memory, taken[n].size))
			return fail("memory");
		n++;
	}
	for (i = 0; i < n; i++)
		bytes = give_back(pagemap, taken[i].memory, taken[i].size, bytes);
	puts(bytes ? "short" : "ready");
	fflush(stdout);
	for (;;)
		pause();
}

static unsigned long long migrated(void)
{
	char line[128];
	unsigned long long n = 0;
	FILE *stat = fopen("/proc/vmstat", "r");

	while (stat && fgets(line, sizeof(line), stat))
		sscanf(line, "pgmigrate_success %llu", &n);
	if (stat)
		fclose(stat);
	return n;
}

static int move(pid_t pid, unsigned int rounds)
{
	unsigned long nodes[2] = { 1, 2 };
	unsigned long long before = migrated();
	unsigned int i;
	int compact = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (compact < 0)
		return fail("compact_memory");
	for (i = 0; i < rounds; i++) {
		if (syscall(SYS_migrate_pages, pid, 64, &nodes[i % 2], &nodes[(i + 1) % 2]) < 0)
			return fail("migrate_pages");
		if (write(compact, "1", 1) < 0)
			return fail("compacting");
	}
	printf("moved: rounds=%u pages=%llu\n", rounds, migrated() - before);
	return 0;
}

static int tty(char **argv)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
	char text[4096];
	ssize_t n;
	pid_t pid;

	if (master < 0 || grantpt(master) || unlockpt(master))
		return fail("terminal");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	pid = slave < 0 ? -1 : fork();
	if (pid < 0)
		return fail("terminal");
	if (!pid) {
		dup2(slave, STDOUT_FILENO);
		dup2(slave, STDERR_FILENO);
		close(slave);
		close(master);
		execvp(argv[0], argv);
		_exit(fail(argv[0]));
	}
	close(slave);
	while ((n = read(master, text, sizeof(text))) > 0)
		if (write(STDOUT_FILENO, text, n) != n)
			return fail("output");
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "user"))
		return user(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "fragment"))
		return fragment(atoi(argv[2]), strtoull(argv[3], NULL, 0) << 20,
				strtoull(argv[4], NULL, 0) << 20);
	if (argc == 4 && !strcmp(argv[1], "move"))
		return move(atoi(argv[2]), atoi(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "tty"))
		return tty(argv + 2);
	fprintf(stderr, "usage: dpdk-helper user BYTES CAPABILITY COMMAND... | fragment NODE MIB RESERVE | move PID ROUNDS | tty COMMAND...\n");
	return 2;
}
