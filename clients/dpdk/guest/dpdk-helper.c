// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of DPDK need and a shell cannot do:
 *   dpdk-helper user BYTES CAPABILITY COMMAND...   run as uid 1000 with this RLIMIT_MEMLOCK and
 *                                                  exactly this capability (17 is SYS_RAWIO), or
 *                                                  none (-)
 *   dpdk-helper fragment MIB                       leave so much of node 0 free in single pages
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

static size_t free_bytes(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *info = fopen("/sys/devices/system/node/node0/meminfo", "r");

	while (info && fgets(line, sizeof(line), info))
		sscanf(line, "Node 0 MemFree: %llu", &kib);
	if (info)
		fclose(info);
	return kib << 10;
}

/*
 * Take all free memory of node 0 but a reserve, and give back pages whose physical page number is odd.
 * The pages next to them are kept, so the kernel cannot merge them. Larger blocks
 * are used first, so there must be few of them.
 */
static int fragment(size_t bytes)
{
	const size_t reserve = 64 << 20;
	const unsigned long node0 = 1;
	size_t free = free_bytes(), size, i;
	uint64_t entry;
	char *memory;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	if (pagemap < 0 || syscall(SYS_set_mempolicy, MPOL_BIND, &node0, 64))
		return fail("pagemap and policy");
	if (free < reserve + 2 * bytes) {
		errno = ENOMEM;
		return fail("memory to fragment");
	}
	size = (free - reserve) & -PAGE;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* what is locked stays where it is, if vm.compact_unevictable_allowed is 0 */
	if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE) || mlock(memory, size))
		return fail("memory");
	for (i = 0; bytes && i < size; i += PAGE) {
		if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)(memory + i) / PAGE * 8) != 8)
			return fail("reading pagemap");
		if (!(entry & 1))
			continue;
		if (madvise(memory + i, PAGE, MADV_DONTNEED_LOCKED))
			return fail("madvise");
		bytes -= PAGE;
	}
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
	if (argc == 3 && !strcmp(argv[1], "fragment"))
		return fragment(strtoull(argv[2], NULL, 0) << 20);
	if (argc == 4 && !strcmp(argv[1], "move"))
		return move(atoi(argv[2]), atoi(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "tty"))
		return tty(argv + 2);
	fprintf(stderr, "usage: dpdk-helper user BYTES CAPABILITY COMMAND... | fragment MIB | move PID ROUNDS | tty COMMAND...\n");
	return 2;
}
