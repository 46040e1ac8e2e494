// SPDX-License-Identifier: GPL-2.0-only
/*
 * liveupdate - memory of a noiommu device that is preserved over kexec
 *
 * The program maps a memfd, notes its physical addresses in another one, hands over
 * both and starts the kernel /bzImage. There, /job runs it again, and it compares.
 * It prints nothing before, so that its results are those of one test.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/liveupdate.h>
#include <linux/reboot.h>

#include "common.h"

enum {
	NR_PAGES = 1024,
	NR_SMALL = NR_PAGES / 2,	/* the others are a huge page */
	TOKEN_MEMORY = 1,
	TOKEN_ADDRESSES,
};

#define SESSION "noiommu"

static uint64_t page_size, size;
static struct device device;

static uint64_t pattern(unsigned int page, unsigned int word)
{
	struct random random = { (uint64_t)page << 32 | word };

	return random_next(&random);
}

static void *map_fd(int fd, uint64_t length)
{
	void *va = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (va == MAP_FAILED)
		die("cannot map a memfd: %s", strerror(errno));
	return va;
}

static int new_memfd(uint64_t length)
{
	int fd = memfd_create("liveupdate", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, length))
		die("cannot create a memfd: %s", strerror(errno));
	return fd;
}

/* Map the memory for a device and look up the address of each page */
static void find_addresses(struct user *user, int memory, uint64_t *phys)
{
	struct iommu_noiommu_extent extents[NR_PAGES];
	uint64_t iova = 0, length = size, i = 0;
	int nr, j;

	if (user_open(user, device.node) ||
	    ioas_map_file(user->iommufd, user->ioas_id, memory, 0, size, &iova,
			  MAP_AT))
		die("cannot map memory for %s", device.bdf);
	nr = get_pa_array(user->iommufd, user->ioas_id, 0, &length, extents, NR_PAGES);
	if (nr < 0 || length != size)
		die("GET_PA failed");
	for (j = 0; j < nr; j++)
		for (; extents[j].length; extents[j].length -= page_size) {
			phys[i++] = extents[j].phys;
			extents[j].phys += page_size;
		}
}

static void fill_page(uint64_t *words, unsigned int page)
{
	unsigned int word;

	for (word = 0; word < page_size / 8; word++)
		words[page * page_size / 8 + word] = pattern(page, word);
}

/* Small pages that are not all contiguous, and a huge page */
static void fill(int memory)
{
	unsigned int page, step;
	uint64_t *words;

	/* Before mmap(), which then aligns the mapping to huge pages */
	write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	words = map_fd(memory, size);
	for (step = 0; step < 3; step++)
		for (page = step; page < NR_SMALL; page += 3)
			fill_page(words, page);
	if (madvise(words, size, MADV_HUGEPAGE))
		die("madvise failed: %s", strerror(errno));
	for (page = NR_SMALL; page < NR_PAGES; page++)
		fill_page(words, page);
}

static bool is_filled(int memory)
{
	uint64_t *words = map_fd(memory, size);
	unsigned int page, word, nr_wrong = 0;

	for (page = 0; page < NR_PAGES; page++)
		for (word = 0; word < page_size / 8; word++)
			nr_wrong += words[page * page_size / 8 + word] !=
				    pattern(page, word);
	munmap(words, size);
	return CHECK(!nr_wrong);
}

static void preserve(int session, int fd, uint64_t token)
{
	struct liveupdate_session_preserve_fd args = {
		.size = sizeof(args),
		.fd = fd,
		.token = token,
	};
	int ret = call(session, LIVEUPDATE_SESSION_PRESERVE_FD, &args);

	if (ret)
		die("cannot preserve a memfd: %s", errno_name(-ret));
}

/* The root file system of the next kernel is that of this one, with another /job */
static void make_initrd(const char *bdf)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "set -e; mkdir /tmp/next; cd /tmp/next\n"
		 "cat >job <<'end'\n"
		 "liveupdate -r %s >/tmp/log\n"
		 "status=$?\n"
		 "sed 's/^/  /' /tmp/log\n"
		 "[ $status = 0 ] && echo 'ok 1 liveupdate' || echo 'not ok 1 liveupdate'\n"
		 "exit $status\n"
		 "end\n"
		 "cd /; find . -xdev | cpio -o -H newc >/tmp/initrd 2>/dev/null\n"
		 "cd /tmp/next; echo job | cpio -o -H newc >>/tmp/initrd 2>/dev/null\n",
		 bdf);
	if (system(command))
		die("cannot make /tmp/initrd");
}

static void start_next_kernel(void)
{
	int kernel = open_file("/bzImage", O_RDONLY);
	int initrd = open_file("/tmp/initrd", O_RDONLY);
	int proc = open_file("/proc/cmdline", O_RDONLY);
	char cmdline[2048];
	ssize_t length;

	length = read(proc, cmdline, sizeof(cmdline));
	if (kernel < 0 || initrd < 0 || length <= 0)
		die("cannot read /bzImage, /tmp/initrd and /proc/cmdline");
	cmdline[length - 1] = '\0';
	if (syscall(SYS_kexec_file_load, kernel, initrd, length, cmdline, 0))
		die("kexec_file_load failed: %s", strerror(errno));
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	die("cannot start the next kernel: %s", strerror(errno));
}

static void before(void)
{
	struct liveupdate_ioctl_create_session session = {
		.size = sizeof(session),
		.name = SESSION,
	};
	int memory = new_memfd(size), addresses = new_memfd(NR_PAGES * 8);
	int liveupdate = open_file("/dev/liveupdate", O_RDWR);
	struct user user;

	if (liveupdate < 0 ||
	    call(liveupdate, LIVEUPDATE_IOCTL_CREATE_SESSION, &session))
		die("cannot create a session of /dev/liveupdate");
	fill(memory);
	find_addresses(&user, memory, map_fd(addresses, NR_PAGES * 8));
	preserve(session.fd, memory, TOKEN_MEMORY);
	preserve(session.fd, addresses, TOKEN_ADDRESSES);
	make_initrd(device.bdf);
	/* The device is attached until the end */
	start_next_kernel();
}

static int retrieve(int session, uint64_t token)
{
	struct liveupdate_session_retrieve_fd args = {
		.size = sizeof(args),
		.token = token,
	};
	int ret = call(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &args);

	if (ret)
		die("cannot retrieve a memfd: %s", errno_name(-ret));
	return args.fd;
}

static int after(void)
{
	struct liveupdate_ioctl_retrieve_session session = {
		.size = sizeof(session),
		.name = SESSION,
	};
	struct liveupdate_session_finish finish = { .size = sizeof(finish) };
	int liveupdate = open_file("/dev/liveupdate", O_RDWR), memory, addresses;
	uint64_t phys[NR_PAGES], *expected;
	struct usage at_start = usage_now();
	struct user user;
	unsigned int i, nr_runs = 1;

	ktap_start(4);
	if (liveupdate < 0 ||
	    call(liveupdate, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &session))
		die("there is no session of the kernel before");
	memory = retrieve(session.fd, TOKEN_MEMORY);
	addresses = retrieve(session.fd, TOKEN_ADDRESSES);
	expected = map_fd(addresses, NR_PAGES * 8);
	find_addresses(&user, memory, phys);
	for (i = 1; i < NR_SMALL; i++)
		nr_runs += expected[i] != expected[i - 1] + page_size;
	ktap(nr_runs > 1 && expected[NR_SMALL] % (size / 2) == 0 &&
	     expected[NR_PAGES - 1] == expected[NR_SMALL] + size / 2 - page_size,
	     "the memory has scattered pages and a huge page");
	ktap(!memcmp(phys, expected, sizeof(phys)), "it keeps its addresses");
	ktap(is_filled(memory), "it keeps its contents");
	user_close(&user);
	ktap(!call(session.fd, LIVEUPDATE_SESSION_FINISH, &finish) &&
	     usage_becomes(at_start), "nothing is left");
	return ktap_end();
}

int main(int argc, char **argv)
{
	bool is_after = argc > 1 && !strcmp(argv[1], "-r");

	page_size = getpagesize();
	size = NR_PAGES * page_size;
	if (argc != 2 + is_after)
		die("usage: liveupdate [-r] DEVICE");
	device_find(&device, argv[argc - 1]);
	if (is_after)
		return after();
	before();
}
