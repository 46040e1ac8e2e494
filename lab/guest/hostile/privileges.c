// SPDX-License-Identifier: GPL-2.0-only
/*
 * privileges - who may use a noiommu device, and what the user needs for it
 *
 * The last test locks the kernel down, which lasts until the next boot.
 */
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/pci_regs.h>
#include <linux/seccomp.h>

#include "common.h"

static uint64_t page_size;
static struct device devices[2];
static struct usage at_start;

/* Map the page @va at IOVA 0 */
static void use_device(struct user *user, void *va)
{
	uint64_t iova = 0;

	if (user_open(user, devices[0].node) ||
	    ioas_map(user->iommufd, user->ioas_id, va, page_size, &iova, MAP_AT))
		die("cannot use %s", devices[0].bdf);
}

static bool all_is_back(void)
{
	struct user user;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		if (!CHECK(!user_open(&user, devices[i].node)))
			return false;
		user_close(&user);
	}
	return CHECK(usage_becomes(at_start));
}

/* What needs CAP_SYS_RAWIO is refused. @unbound is the node of the other device. */
static bool is_refused(int iommufd, uint32_t ioas_id, int unbound)
{
	struct iommu_noiommu_extent extent;
	uint64_t length = 1, phys;
	uint32_t id;

	return CHECK(open_file(devices[1].node, O_RDWR) == -EPERM) &&
	       CHECK(open_file(devices[1].group, O_RDWR) == -EPERM) &&
	       CHECK(device_bind(unbound, iommufd, &id) == -EPERM) &&
	       CHECK(get_pa(iommufd, ioas_id, 0, &length, &phys) == -EPERM) &&
	       CHECK(get_pa_array(iommufd, ioas_id, 0, &length, &extent, 1) ==
		     -EPERM);
}

static bool root_of_a_namespace(void)
{
	void *va = map_memory(page_size, MAP_PRIVATE);
	struct user user;
	int unbound;
	pid_t pid;
	bool ok;

	use_device(&user, va);
	unbound = open_file(devices[1].node, O_RDWR);
	pid = fork_child();
	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			die("cannot create a user namespace");
		write_file("/proc/self/uid_map", "0 0 1");
		/* It has the capability, but not in the initial namespace */
		set_capability(CAP_SYS_RAWIO, true);
		_exit(CHECK(!getuid()) &&
		      is_refused(user.iommufd, user.ioas_id, unbound) ? 0 : 1);
	}
	ok = succeeds(pid);
	close(unbound);
	user_close(&user);
	munmap(va, page_size);
	return ok && all_is_back();
}

enum { NR_SENT = 3 };

union ancillary {
	char buffer[CMSG_SPACE(NR_SENT * sizeof(int))];
	struct cmsghdr header;
};

static void send_files(int socket, const int *fds)
{
	struct iovec byte = { .iov_base = "", .iov_len = 1 };
	union ancillary ancillary = {
		.header = {
			.cmsg_len = CMSG_LEN(NR_SENT * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};

	memcpy(CMSG_DATA(&ancillary.header), fds, NR_SENT * sizeof(int));
	if (sendmsg(socket, &message, 0) != 1)
		die("sendmsg failed: %s", strerror(errno));
}

static void receive_files(int socket, int *fds)
{
	char text;
	struct iovec byte = { .iov_base = &text, .iov_len = 1 };
	union ancillary ancillary;
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};

	if (recvmsg(socket, &message, 0) != 1 ||
	    ancillary.header.cmsg_len != CMSG_LEN(NR_SENT * sizeof(int)))
		die("recvmsg failed: %s", strerror(errno));
	memcpy(fds, CMSG_DATA(&ancillary.header), NR_SENT * sizeof(int));
}

/* Send an iommufd, its device and another device, and close them. Returns the IOAS. */
static uint32_t give_away(int socket, void *va)
{
	struct user user;
	int fds[NR_SENT];

	use_device(&user, va);
	fds[0] = user.iommufd;
	fds[1] = user.fd;
	fds[2] = open_file(devices[1].node, O_RDWR);
	send_files(socket, fds);
	close(fds[2]);
	user_close(&user);
	return user.ioas_id;
}

static bool receiver_is_limited(int socket, uint32_t ioas_id)
{
	uint64_t iova = 1ULL << 30, length = page_size;
	void *own = map_memory(page_size, MAP_PRIVATE);
	uint32_t id = ioas_id;
	int fds[NR_SENT];

	receive_files(socket, fds);
	/* The node may be opened by anybody */
	if (chmod(devices[1].node, 0666) || chmod(devices[1].group, 0666) ||
	    setgid(65534) || setuid(65534))
		die("cannot become another user: %s", strerror(errno));
	/* The rest needs only the file descriptor, as with an IOMMU */
	return is_refused(fds[0], ioas_id, fds[2]) &&
	       CHECK(!ioas_map(fds[0], ioas_id, own, page_size, &iova, MAP_AT)) &&
	       CHECK(!ioas_unmap(fds[0], ioas_id, iova, &length)) &&
	       CHECK(!device_attach(fds[1], &id)) &&
	       CHECK(!device_detach(fds[1]));
}

static bool messages(void)
{
	void *va = map_memory(page_size, MAP_PRIVATE);
	struct user user;
	uint32_t ioas_id;
	int sockets[2];
	pid_t pid;
	bool ok;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		die("socketpair failed: %s", strerror(errno));
	ioas_id = give_away(sockets[0], va);
	pid = fork_child();
	if (!pid)
		_exit(receiver_is_limited(sockets[1], ioas_id) ? 0 : 1);
	ok = succeeds(pid) && all_is_back();
	chmod(devices[1].node, 0600);
	chmod(devices[1].group, 0600);

	/* While nobody receives the message, it keeps the device and the memory */
	give_away(sockets[0], va);
	ok = ok && CHECK(user_open(&user, devices[0].node) == -EINVAL) &&
	     CHECK(usage_now().pins == at_start.pins + 1);
	close(sockets[0]);
	close(sockets[1]);
	munmap(va, page_size);
	return ok && all_is_back();
}

/* The system calls of a driver. Those with a command are an ioctl() each. */
static const struct needed {
	const char *name;
	unsigned int nr;
	unsigned int cmd;
} needed[] = {
	{ "openat", SYS_openat, 0 },
	{ "mmap", SYS_mmap, 0 },
	{ "munmap", SYS_munmap, 0 },
	{ "pread64", SYS_pread64, 0 },
	{ "pwrite64", SYS_pwrite64, 0 },
	{ "close", SYS_close, 0 },
	{ "exit_group", SYS_exit_group, 0 },
	{ "VFIO_DEVICE_BIND_IOMMUFD", SYS_ioctl, VFIO_DEVICE_BIND_IOMMUFD },
	{ "VFIO_DEVICE_ATTACH_IOMMUFD_PT", SYS_ioctl, VFIO_DEVICE_ATTACH_IOMMUFD_PT },
	{ "VFIO_DEVICE_GET_REGION_INFO", SYS_ioctl, VFIO_DEVICE_GET_REGION_INFO },
	{ "VFIO_DEVICE_RESET", SYS_ioctl, VFIO_DEVICE_RESET },
	{ "IOMMU_IOAS_ALLOC", SYS_ioctl, IOMMU_IOAS_ALLOC },
	{ "IOMMU_IOAS_MAP", SYS_ioctl, IOMMU_IOAS_MAP },
	{ "IOMMU_IOAS_NOIOMMU_GET_PA", SYS_ioctl, IOMMU_IOAS_NOIOMMU_GET_PA },
	{ "IOMMU_IOAS_UNMAP", SYS_ioctl, IOMMU_IOAS_UNMAP },
};

#define LOAD(_field)							\
	(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,		\
				     offsetof(struct seccomp_data, _field))
#define SKIP_UNLESS(_value, _nr)					\
	(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (_value), 0, (_nr))
#define RETURN(_action)							\
	(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (_action))

/* Any other system call, and number @without of those above, kills the process */
static void set_filter(unsigned int without)
{
	struct sock_filter code[5 * ARRAY_SIZE(needed) + 1];
	struct sock_fprog program = { .filter = code };
	unsigned int i, at = 0;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (i == without)
			continue;
		code[at++] = LOAD(nr);
		code[at++] = SKIP_UNLESS(needed[i].nr, needed[i].cmd ? 3 : 1);
		if (needed[i].cmd) {
			code[at++] = LOAD(args[1]);
			code[at++] = SKIP_UNLESS(needed[i].cmd, 1);
		}
		code[at++] = RETURN(SECCOMP_RET_ALLOW);
	}
	code[at++] = RETURN(SECCOMP_RET_KILL_PROCESS);
	program.len = at;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("cannot set a seccomp filter: %s", strerror(errno));
}

/* A driver from start to end. Returns the number of the step that has failed, or 0. */
static int drive(void)
{
	uint64_t iova = 0, length = page_size;
	struct iommu_noiommu_extent extent;
	struct vfio_region_info bar;
	struct user user;
	void *va, *regs;

	if (user_open(&user, devices[0].node))
		return 1;
	device_bar(user.fd, &bar);
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, user.fd,
		    bar.offset);
	va = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (regs == MAP_FAILED || va == MAP_FAILED ||
	    *(volatile uint32_t *)regs == UINT32_MAX)
		return 2;
	if (ioas_map(user.iommufd, user.ioas_id, va, page_size, &iova, MAP_AT) ||
	    get_pa_array(user.iommufd, user.ioas_id, 0, &length, &extent, 1) != 1 ||
	    !extent.phys || extent.length != page_size)
		return 3;
	device_command(user.fd, PCI_COMMAND_MASTER, 0);
	device_command(user.fd, 0, PCI_COMMAND_MASTER);
	if (device_reset(user.fd) || munmap(regs, bar.size) ||
	    ioas_unmap(user.iommufd, user.ioas_id, 0, &length) ||
	    munmap(va, page_size))
		return 4;
	user_close(&user);
	return 0;
}

static bool filtered(void)
{
	unsigned int without;
	int status;
	pid_t pid;

	for (without = 0; without <= ARRAY_SIZE(needed); without++) {
		bool complete = without == ARRAY_SIZE(needed);

		pid = fork_child();
		if (!pid) {
			set_filter(without);
			_exit(drive());
		}
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid failed: %s", strerror(errno));
		if (complete ? status : !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
			printf("# with all but %s: wait status %#x\n",
			       complete ? "nothing" : needed[without].name, status);
			return false;
		}
		if (!all_is_back())
			return false;
	}
	printf("# %zu system calls are enough, and each is needed\n",
	       ARRAY_SIZE(needed));
	return true;
}

#define MDEV "/sys/bus/mdev/devices/"
#define UUID "6e6f2d69-6f6d-4d75-8063-646576000002"

/* Without CAP_SYS_RAWIO, next to a noiommu device in the same IOAS */
static bool mediated_device_works(const char *node, const char *group)
{
	void *va = map_memory(page_size, MAP_PRIVATE);
	uint64_t length = 1, phys;
	struct user user;
	uint32_t id;
	bool ok;
	int fd;

	use_device(&user, va);
	set_capability(CAP_SYS_RAWIO, false);
	fd = open_file(node, O_RDWR);
	ok = CHECK(fd >= 0) && CHECK(!device_bind(fd, user.iommufd, &id));
	id = user.ioas_id;
	ok = ok && CHECK(!device_attach(fd, &id)) &&
	     CHECK(open_file(group, O_RDWR) == -EBUSY);
	set_capability(CAP_SYS_RAWIO, true);

	/* The noiommu device has a page table, this one has none */
	ok = ok &&
	     CHECK(!get_pa(user.iommufd, user.ioas_id, 0, &length, &phys)) &&
	     CHECK(phys == pagemap_phys(va)) && CHECK(!device_detach(user.fd)) &&
	     CHECK(get_pa(user.iommufd, user.ioas_id, 0, &length, &phys) ==
		   -EOPNOTSUPP);
	close(fd);
	user_close(&user);
	munmap(va, page_size);
	return ok;
}

static bool mediated_device(const char *create)
{
	char node[64] = {}, group[64] = {}, link[256] = {};
	glob_t found;
	bool ok;

	write_file(create, UUID);
	if (glob(MDEV UUID "/vfio-dev/*", 0, NULL, &found))
		die("there is no node for %s", create);
	snprintf(node, sizeof(node), "/dev/vfio/devices/%.40s",
		 strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	if (readlink(MDEV UUID "/iommu_group", link, sizeof(link) - 1) > 0)
		snprintf(group, sizeof(group), "/dev/vfio/%.40s",
			 strrchr(link, '/') + 1);
	ok = CHECK(!strncmp(node, "/dev/vfio/devices/vfio", 22)) &&
	     CHECK(!access(group, F_OK)) && mediated_device_works(node, group);
	write_file(MDEV UUID "/remove", "1");
	return ok;
}

static bool mediated_devices(void)
{
	unsigned int i, parents = 0;
	glob_t found;
	bool ok = true;

	if (glob("/sys/devices/virtual/*/*/mdev_supported_types/*/create", 0, NULL,
		 &found))
		die("there are no mediated devices");
	for (i = 0; i < found.gl_pathc && ok; i++) {
		ok = mediated_device(found.gl_pathv[i]);
		if (!ok)
			printf("# %s\n", found.gl_pathv[i]);
		parents |= strstr(found.gl_pathv[i], "/mtty/") ? 1 : 2;
	}
	printf("# %zu types of mediated devices\n", found.gl_pathc);
	globfree(&found);
	return ok && CHECK(parents == 3) && all_is_back();
}

static bool group_works(void)
{
	int container = open_file("/dev/vfio/vfio", O_RDWR);
	int group = open_file(devices[0].group, O_RDWR), fd;
	bool ok;

	ok = CHECK(container >= 0) && CHECK(group >= 0) &&
	     CHECK(!call(group, VFIO_GROUP_SET_CONTAINER, &container)) &&
	     CHECK(!call(container, VFIO_SET_IOMMU, (void *)VFIO_NOIOMMU_IOMMU));
	fd = ok ? call(group, VFIO_GROUP_GET_DEVICE_FD, (void *)devices[0].bdf) : -1;
	ok = ok && CHECK(fd >= 0) && CHECK(device_can_reset(fd) == 1);
	close(fd);
	close(group);
	close(container);
	return ok;
}

static bool cdev_works(void)
{
	void *va = map_memory(page_size, MAP_PRIVATE);
	uint64_t length = 1, phys;
	struct user user;
	bool ok;

	use_device(&user, va);
	ok = CHECK(!get_pa(user.iommufd, user.ioas_id, 0, &length, &phys)) &&
	     CHECK(phys == pagemap_phys(va)) &&
	     CHECK(device_can_reset(user.fd) == 1);
	user_close(&user);
	munmap(va, page_size);
	return ok;
}

#define LOCKDOWN "/sys/kernel/security/lockdown"

/* As documented in vfio.rst: neither path is affected */
static bool locked_down(void)
{
	static const char *const levels[] = { "integrity", "confidentiality" };
	unsigned int i;
	int fd;

	if (mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL))
		die("cannot mount securityfs: %s", strerror(errno));
	fd = open_file("/dev/mem", O_RDONLY);
	if (!CHECK(fd >= 0) || !group_works() || !cdev_works())
		return false;
	close(fd);
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		write_file(LOCKDOWN, "%s", levels[i]);
		if (!CHECK(open_file("/dev/mem", O_RDONLY) == -EPERM) ||
		    !CHECK(i == 0 || open_file("/sys/kernel/tracing/trace", O_RDONLY) ==
			   -EPERM) || !group_works() || !cdev_works())
			return false;
	}
	return all_is_back();
}

static const struct test tests[] = {
	{ "root of a user namespace is refused", root_of_a_namespace },
	{ "a process with fewer rights gets the devices in a message", messages },
	{ "a driver with the fewest system calls", filtered },
	{ "mediated devices need no right and have no physical addresses", mediated_devices },
	{ "lockdown affects neither the group nor the cdev", locked_down },
};

int main(int argc, char **argv)
{
	const char *selected = "";
	unsigned int i;
	int option;

	page_size = getpagesize();
	while ((option = getopt(argc, argv, "t:")) >= 0)
		switch (option) {
		case 't': selected = optarg; break;
		default: die("usage: privileges [-t part of a test's name] DEVICE OTHER");
		}
	if (argc - optind != ARRAY_SIZE(devices))
		die("two devices are required, the first with a reset function and a BAR 0");
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		device_find(&devices[i], argv[optind + i]);
		if (!devices[i].group[0])
			die("%s has no noiommu group", devices[i].bdf);
	}
	at_start = usage_now();
	return run_tests(tests, ARRAY_SIZE(tests), selected);
}
