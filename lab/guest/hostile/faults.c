// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults - memory, limits and user pages that fail while a noiommu device is used
 *
 * Each test requires that the pins, the charge and the page tables return to what
 * they were before.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "common.h"

enum { NR_PAGES = 64, MAX_DEVICES = 16 };

static const uint64_t GIB = 1ULL << 30, TIB = 1ULL << 40;

static uint64_t page_size, nr_operations = 4000, nr_rounds = 20;
static char **bdfs;
static unsigned int nr_devices;
static bool on_6_12;
static struct device device;
static struct usage at_start;
static struct random generator = { 1 };

static void use_device(struct user *user)
{
	if (user_open(user, device.node))
		die("cannot use %s", device.bdf);
}

static int map(struct user *user, void *va, uint64_t length, uint64_t iova)
{
	return ioas_map(user->iommufd, user->ioas_id, va, length, &iova, MAP_AT);
}

static int unmap(struct user *user, uint64_t iova, uint64_t length)
{
	return ioas_unmap(user->iommufd, user->ioas_id, iova, &length);
}

static int query(struct user *user, uint64_t iova, uint64_t *phys)
{
	uint64_t length = 1;

	return get_pa(user->iommufd, user->ioas_id, iova, &length, phys);
}

/* Faults in the allocations of "stress". Returns how many there were. */
static const char *const injections[] = { "failslab", "fail_page_alloc" };

static void set_injection(const char *name, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", name, file);
	write_file(path, "%s", text);
}

static uint64_t number_in(const char *path)
{
	char text[32];
	FILE *file;

	file = fopen(path, "re");
	if (!file || !fgets(text, sizeof(text), file))
		die("cannot read %s", path);
	fclose(file);
	return strtoull(text, NULL, 0);
}

static uint64_t faults_left(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", name);
	return number_in(path);
}

static bool allocations_fail(void)
{
	static const char *const intervals[] = { "1", "5", "20" };
	const uint64_t most = 1000000000;
	uint64_t injected[2] = {};
	char operations[24];
	char *args[MAX_DEVICES + 9] = {
		"stress", "-f", "-a", "500", "-o", operations,
	};
	unsigned int i, j;
	bool ok = true;
	pid_t pid;

	snprintf(operations, sizeof(operations), "%lu", nr_operations);
	for (i = 0; i < nr_devices; i++)
		args[6 + i] = bdfs[i];
	if (on_6_12)
		args[6 + i] = "-6";
	for (i = 0; i < ARRAY_SIZE(intervals) && ok; i++) {
		for (j = 0; j < 2; j++) {
			set_injection(injections[j], "probability", "5");
			set_injection(injections[j], "interval", intervals[i]);
			set_injection(injections[j], "task-filter", "Y");
			set_injection(injections[j], "verbose", "0");
			set_injection(injections[j], "ignore-gfp-wait", "N");
			set_injection(injections[j], "times", "1000000000");
		}
		set_injection("fail_page_alloc", "min-order", "0");
		pid = fork_child();
		if (!pid) {
			int log = open("/tmp/stress.log", O_RDWR | O_CREAT | O_TRUNC, 0600);

			dup2(log, 1);
			execv("/programs/stress", args);
			_exit(127);
		}
		ok = succeeds(pid);
		for (j = 0; j < 2; j++) {
			injected[j] += most - faults_left(injections[j]);
			set_injection(injections[j], "probability", "0");
		}
	}
	printf("# %lu allocations of objects failed, and %lu of pages\n", injected[0],
	       injected[1]);
	if (!ok && system("sed 's/^/# /' /tmp/stress.log"))
		printf("# there is no log of stress\n");
	return ok && CHECK(injected[0]) && CHECK(injected[1]) &&
	       CHECK(usage_becomes(at_start));
}

/*
 * A page whose first access waits for the program. The thread calls @fault with
 * the page once the kernel waits, and @fault has to let it go on.
 */
struct trap {
	int fd;
	char *page;
	void (*fault)(struct trap *trap);
	struct user *user;
	uint64_t phys;
	bool ok;
	bool reached;
	pthread_t thread;
};

static void *wait_for_fault(void *arg)
{
	struct trap *trap = arg;
	struct uffd_msg message;

	if (read(trap->fd, &message, sizeof(message)) != sizeof(message))
		die("cannot read the userfaultfd: %s", strerror(errno));
	trap->reached = true;
	trap->fault(trap);
	return NULL;
}

static void set_trap(struct trap *trap)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	trap->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (trap->fd < 0 || ioctl(trap->fd, UFFDIO_API, &api))
		die("cannot use userfaultfd: %s", strerror(errno));
	trap->page = map_memory(page_size, MAP_PRIVATE);
	range.range.start = (uintptr_t)trap->page;
	range.range.len = page_size;
	if (ioctl(trap->fd, UFFDIO_REGISTER, &range))
		die("UFFDIO_REGISTER failed: %s", strerror(errno));
	trap->ok = true;
	trap->reached = false;
	if (pthread_create(&trap->thread, NULL, wait_for_fault, trap))
		die("cannot create a thread");
}

static void end_trap(struct trap *trap)
{
	pthread_join(trap->thread, NULL);
	close(trap->fd);
	munmap(trap->page, page_size);
}

static void give_page(struct trap *trap, const void *contents)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)trap->page,
		.src = (uintptr_t)contents,
		.len = page_size,
	};

	if (ioctl(trap->fd, UFFDIO_COPY, &copy))
		die("UFFDIO_COPY failed: %s", strerror(errno));
}

static void take_page(struct trap *trap)
{
	struct uffdio_range range = {
		.start = (uintptr_t)trap->page,
		.len = page_size,
	};

	munmap(trap->page, page_size);
	if (ioctl(trap->fd, UFFDIO_WAKE, &range))
		die("UFFDIO_WAKE failed: %s", strerror(errno));
}

/* GET_PA writes its result without a lock: nothing waits for it */
static void change_everything(struct trap *trap)
{
	struct user *user = trap->user;
	char *contents = map_memory(page_size, MAP_PRIVATE);
	uint32_t id = user->ioas_id;
	void *va = map_memory(page_size, MAP_PRIVATE);

	/* Ends the program if a call waits for GET_PA, which waits for this one */
	alarm(30);
	trap->ok = CHECK(destroy(user->iommufd, user->ioas_id) == -EBUSY) &&
		   CHECK(!unmap(user, 0, NR_PAGES * page_size)) &&
		   CHECK(!device_detach(user->fd)) &&
		   CHECK(destroy(user->iommufd, user->ioas_id) == -EBUSY) &&
		   CHECK(!device_attach(user->fd, &id)) &&
		   CHECK(!map(user, va, page_size, 0)) &&
		   CHECK(!unmap(user, 0, page_size));
	alarm(0);
	give_page(trap, contents);
	munmap(contents, page_size);
	munmap(va, page_size);
}

static bool result_waits(void)
{
	struct trap trap = { .fault = change_everything };
	struct iommu_noiommu_extent *extent;
	uint64_t phys, length = 1;
	struct user user;
	void *va;
	int ret;

	use_device(&user);
	va = map_memory(NR_PAGES * page_size, MAP_PRIVATE | MAP_POPULATE);
	if (map(&user, va, NR_PAGES * page_size, 0))
		die("cannot map memory");
	phys = pagemap_phys(va);
	trap.user = &user;
	set_trap(&trap);
	extent = (void *)trap.page;
	ret = get_pa_array(user.iommufd, user.ioas_id, 0, &length, extent, 1);
	if (!CHECK(ret == 1) || !CHECK(extent->phys == phys) ||
	    !CHECK(extent->length == 1) || !CHECK(trap.reached))
		return false;
	end_trap(&trap);
	user_close(&user);
	munmap(va, NR_PAGES * page_size);
	return trap.ok && CHECK(usage_becomes(at_start));
}

/* The arguments and results of calls are in a page that vanishes */
static bool page_vanishes(void)
{
	static const struct {
		const char *name;
		unsigned long cmd;
		bool of_device;
	} calls[] = {
		{ "MAP", IOMMU_IOAS_MAP, false },
		{ "MAP_FILE", IOMMU_IOAS_MAP_FILE, false },
		{ "UNMAP", IOMMU_IOAS_UNMAP, false },
		{ "COPY", IOMMU_IOAS_COPY, false },
		{ "GET_PA", IOMMU_IOAS_NOIOMMU_GET_PA, false },
		{ "IOAS_ALLOC", IOMMU_IOAS_ALLOC, false },
		{ "DESTROY", IOMMU_DESTROY, false },
		{ "HWPT_ALLOC", IOMMU_HWPT_ALLOC, false },
		{ "ATTACH", VFIO_DEVICE_ATTACH_IOMMUFD_PT, true },
		{ "DETACH", VFIO_DEVICE_DETACH_IOMMUFD_PT, true },
		{ "FEATURE", VFIO_DEVICE_FEATURE, true },
	};
	struct trap trap = { .fault = take_page };
	uint64_t phys, length = 1;
	struct user user;
	unsigned int i;
	void *va;
	int ret;

	use_device(&user);
	va = map_memory(page_size, MAP_PRIVATE);
	if (map(&user, va, page_size, 0))
		die("cannot map memory");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (on_6_12 && calls[i].cmd == IOMMU_IOAS_MAP_FILE)
			continue;
		set_trap(&trap);
		ret = call(calls[i].of_device ? user.fd : user.iommufd,
			   calls[i].cmd, trap.page);
		end_trap(&trap);
		if (!CHECK(ret == -EFAULT) || !CHECK(trap.reached)) {
			printf("# %s: %s\n", calls[i].name, errno_name(-ret));
			return false;
		}
	}
	set_trap(&trap);
	ret = get_pa_array(user.iommufd, user.ioas_id, 0, &length,
			   (void *)trap.page, 1);
	end_trap(&trap);
	if (!CHECK(ret == -EFAULT) || !CHECK(!query(&user, 0, &phys)) ||
	    !CHECK(phys == pagemap_phys(va)))
		return false;
	/* The memory to pin vanishes */
	set_trap(&trap);
	ret = map(&user, trap.page, page_size, GIB);
	end_trap(&trap);
	if (!CHECK(ret == -EFAULT) || !CHECK(query(&user, GIB, &phys) == -ENOENT))
		return false;
	user_close(&user);
	munmap(va, page_size);
	return CHECK(usage_becomes(at_start));
}

struct flag {
	atomic_uint value;
};

static struct flag *flag;

static void report_and_wait(struct trap *trap)
{
	(void)trap;
	flag->value = 1;
	pause();
}

/* The process is killed while the kernel waits for one of its pages */
static bool killed_while_waiting(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		pid_t pid;

		flag->value = 0;
		pid = fork_child();
		if (!pid) {
			struct trap trap = { .fault = report_and_wait };
			uint64_t length = 1;
			struct user user;
			void *va;

			use_device(&user);
			va = map_memory(NR_PAGES * page_size, MAP_PRIVATE);
			map(&user, va, NR_PAGES * page_size, 0);
			set_trap(&trap);
			switch (i) {
			case 0:
				get_pa_array(user.iommufd, user.ioas_id, 0, &length,
					     (void *)trap.page, 1);
				break;
			case 1:
				map(&user, trap.page, page_size, GIB);
				break;
			case 2:
				call(user.iommufd, IOMMU_HWPT_ALLOC, trap.page);
				break;
			}
			_exit(0);
		}
		while (!flag->value && !waitpid(pid, NULL, WNOHANG))
			sched_yield();
		if (!CHECK(kill_and_wait(pid)) || !CHECK(usage_becomes(at_start)))
			return false;
	}
	return true;
}

/* A thread that takes away and returns the access to a page */
struct changing {
	char *page;
	_Atomic bool stop;
	unsigned int how;
};

static void *change_page(void *arg)
{
	const int flags = MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED;
	struct changing *changing = arg;

	while (!changing->stop) {
		switch (changing->how) {
		case 0:
			mprotect(changing->page, page_size, PROT_READ);
			sched_yield();
			mprotect(changing->page, page_size, PROT_READ | PROT_WRITE);
			break;
		case 1:
			mmap(changing->page, page_size, PROT_NONE, flags, -1, 0);
			sched_yield();
			mmap(changing->page, page_size, PROT_READ | PROT_WRITE,
			     flags, -1, 0);
			break;
		default:
			madvise(changing->page, page_size, MADV_DONTNEED);
			break;
		}
		sched_yield();
	}
	return NULL;
}

static bool pages_change(void)
{
	uint64_t counts[2][2] = {}, rounds;
	struct user user;
	unsigned int how;
	void *va;

	use_device(&user);
	va = map_memory(page_size, MAP_PRIVATE);
	if (map(&user, va, page_size, 0))
		die("cannot map memory");
	for (how = 0; how < 3; how++) {
		struct changing changing = {
			.page = map_memory(page_size, MAP_PRIVATE), .how = how,
		};
		pthread_t thread;

		if (pthread_create(&thread, NULL, change_page, &changing))
			die("cannot create a thread");
		for (rounds = 0; rounds < 50 * nr_rounds ||
				 (how < 2 && (!counts[0][0] || !counts[0][1] ||
					      !counts[1][0] || !counts[1][1]));
		     rounds++) {
			uint64_t length = 1;
			int ret;

			ret = get_pa_array(user.iommufd, user.ioas_id, 0, &length,
					   (void *)changing.page, 1);
			if (!CHECK(ret == 1 || ret == -EFAULT))
				return false;
			counts[0][ret < 0]++;
			ret = map(&user, changing.page, page_size, GIB);
			if (!CHECK(!ret || ret == -EFAULT))
				return false;
			counts[1][ret < 0]++;
			if (!ret && !CHECK(!unmap(&user, GIB, page_size)))
				return false;
		}
		changing.stop = true;
		pthread_join(thread, NULL);
		munmap(changing.page, page_size);
	}
	printf("# GET_PA: %lu succeeded, %lu failed; MAP: %lu succeeded, %lu failed\n",
	       counts[0][0], counts[0][1], counts[1][0], counts[1][1]);
	user_close(&user);
	munmap(va, page_size);
	return CHECK(usage_becomes(at_start));
}

static void limit(int resource, uint64_t value)
{
	struct rlimit rlimit = { value, value };

	if (setrlimit(resource, &rlimit))
		die("setrlimit failed: %s", strerror(errno));
}

/* Of the processes of one user, at any time */
struct charges {
	atomic_long pages;
	atomic_ulong succeeded, refused;
	_Atomic bool exceeded;
};

enum { NR_PROCESSES = 8, LIMIT_PAGES = 64 };

static void map_within_limit(struct user *user, struct charges *charges,
			     unsigned int process)
{
	uint64_t base = (process + 1) * GIB, round;
	void *va = map_memory(LIMIT_PAGES * page_size, MAP_PRIVATE);
	struct random random = { process };
	unsigned int nr[8] = {}, slot, pages;
	int ret;

	for (round = 0; round < 20 * nr_rounds || !charges->refused; round++) {
		uint64_t iova;

		slot = random_below(&random, 8);
		iova = base + slot * LIMIT_PAGES * page_size;
		if (nr[slot]) {
			charges->pages -= nr[slot];
			if (unmap(user, iova, nr[slot] * page_size))
				_exit(1);
			nr[slot] = 0;
			continue;
		}
		pages = 1 + random_below(&random, LIMIT_PAGES / 4);
		ret = map(user, va, pages * page_size, iova);
		if (!ret) {
			nr[slot] = pages;
			if ((charges->pages += pages) > LIMIT_PAGES)
				charges->exceeded = true;
			charges->succeeded++;
		} else if (ret == -ENOMEM) {
			charges->refused++;
		} else {
			printf("# MAP: %s\n", errno_name(-ret));
			_exit(1);
		}
	}
	/* What is mapped stays until the iommufd is closed */
	_exit(0);
}

static void become_user(void)
{
	limit(RLIMIT_MEMLOCK, LIMIT_PAGES * page_size);
	if (setgid(65534) || setuid(65534))
		die("setuid failed: %s", strerror(errno));
}

static bool limit_of_a_user(void)
{
	struct charges *charges = shared_memory(page_size);
	pid_t pids[NR_PROCESSES];
	struct user user;
	bool ok = true;
	unsigned int i;
	pid_t pid;

	use_device(&user);
	for (i = 0; i < NR_PROCESSES; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			become_user();
			map_within_limit(&user, charges, i);
		}
	}
	for (i = 0; i < NR_PROCESSES; i++)
		ok &= succeeds(pids[i]);
	printf("# %u processes: %lu mappings, %lu refused\n", NR_PROCESSES,
	       charges->succeeded, charges->refused);
	if (!ok || !CHECK(!charges->exceeded) || !CHECK(charges->succeeded) ||
	    !CHECK(charges->refused))
		return false;
	user_close(&user);
	if (!CHECK(usage_becomes(at_start)))
		return false;

	/* The whole limit is available again, and not a page more */
	use_device(&user);
	pid = fork_child();
	if (!pid) {
		void *va;

		become_user();
		va = map_memory((LIMIT_PAGES + 1) * page_size, MAP_PRIVATE);
		_exit(CHECK(map(&user, va, (LIMIT_PAGES + 1) * page_size, 0) ==
			    -ENOMEM) &&
		      CHECK(!map(&user, va, LIMIT_PAGES * page_size, 0)) ? 0 : 1);
	}
	ok = succeeds(pid);
	user_close(&user);
	munmap(charges, page_size);
	return ok && CHECK(usage_becomes(at_start));
}

#define CGROUPS "/sys/fs/cgroup"
#define CGROUP CGROUPS "/faults"

static void make_cgroup(const char *controller)
{
	char text[16];

	snprintf(text, sizeof(text), "+%s", controller);
	write_file(CGROUPS "/cgroup.subtree_control", "%s", text);
	if (mkdir(CGROUP, 0755))
		die("cannot make " CGROUP ": %s", strerror(errno));
}

static void remove_cgroup(void)
{
	/* The kernel may still be leaving it on behalf of a dead process */
	while (rmdir(CGROUP))
		if (errno != EBUSY)
			die("cannot remove " CGROUP ": %s", strerror(errno));
}

/* What was pinned and the page tables are charged to the group; caches may stay */
static bool cgroup_is_empty(void)
{
	time_t end = time(NULL) + 20;
	uint64_t bytes;

	do {
		bytes = number_in(CGROUP "/memory.current");
	} while (bytes > 1 << 20 && time(NULL) < end);
	printf("# %lu bytes are still charged\n", bytes);
	return bytes <= 1 << 20;
}

/* The kernel kills a process that asks for far more memory than it may use */
static bool out_of_memory(void)
{
	uint64_t killed;
	int status;
	bool empty;
	pid_t pid;

	make_cgroup("memory");
	write_file(CGROUP "/memory.max", "33554432");
	pid = fork_child();
	if (!pid) {
		struct user user;
		void *va;

		write_file(CGROUP "/cgroup.procs", "0");
		use_device(&user);
		va = map_memory(TIB, MAP_PRIVATE | MAP_NORESERVE);
		status = map(&user, va, TIB, 0);
		printf("# MAP of 1 TiB: %s\n", errno_name(-status));
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid failed: %s", strerror(errno));
	killed = read_counter(CGROUP "/memory.events", "oom_kill");
	printf("# killed by signal %d, oom_kill %lu\n", WTERMSIG(status), killed);
	empty = cgroup_is_empty();
	remove_cgroup();
	return CHECK(empty) && CHECK(WIFSIGNALED(status)) && CHECK(WTERMSIG(status) == SIGKILL) &&
	       CHECK(killed == 1) && CHECK(usage_becomes(at_start));
}

#define LONG_PAGES	2048
#define LONG_EXTENTS	4096

/* A user whose calls take long */
struct long_calls {
	struct user user;
	void *va;
	struct iommu_noiommu_extent *extents;
	bool wrong;	/* a call has failed */
};

static void start_long_calls(struct long_calls *calls)
{
	*calls = (struct long_calls){
		.va = map_memory(LONG_PAGES * page_size, MAP_PRIVATE),
		.extents = map_memory(LONG_EXTENTS * sizeof(*calls->extents),
				      MAP_PRIVATE),
	};
	use_device(&calls->user);
}

static void end_long_calls(struct long_calls *calls)
{
	user_close(&calls->user);
	munmap(calls->extents, LONG_EXTENTS * sizeof(*calls->extents));
	munmap(calls->va, LONG_PAGES * page_size);
}

static void call_one_by_one(struct long_calls *calls)
{
	const uint64_t size = LONG_PAGES * page_size;
	struct user *user = &calls->user;
	uint64_t length = size, iova = 2 * GIB;
	uint32_t id, other;
	bool wrong = false;

	wrong |= map(user, calls->va, size, 0);
	wrong |= get_pa_array(user->iommufd, user->ioas_id, 0, &length,
			      calls->extents, LONG_EXTENTS) < 0;
	wrong |= ioas_copy(user->iommufd, user->ioas_id, &iova, user->ioas_id, 0,
			   size, MAP_AT);
	wrong |= ioas_alloc(user->iommufd, &other);
	id = other;
	wrong |= device_attach(user->fd, &id) < 0;
	id = user->ioas_id;
	wrong |= device_attach(user->fd, &id) < 0;
	wrong |= destroy(user->iommufd, other);
	wrong |= unmap(user, 2 * GIB, size);
	wrong |= unmap(user, 0, size);
	calls->wrong = wrong;
}

static void count_signal(int signal)
{
	(void)signal;
	flag->value++;
}

/* A handler of a signal does not end a call */
static bool signals(void)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } }, none = {};
	struct long_calls calls;

	start_long_calls(&calls);
	flag->value = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (flag->value < 5 * nr_rounds && !calls.wrong)
		call_one_by_one(&calls);
	setitimer(ITIMER_REAL, &none, NULL);
	printf("# %u signals\n", flag->value);
	end_long_calls(&calls);
	return CHECK(!calls.wrong) && CHECK(usage_becomes(at_start));
}

/* SIGKILL ends a call */
static bool killed_in_a_call(void)
{
	uint64_t round;

	for (round = 0; round < nr_rounds; round++) {
		unsigned int wait = random_below(&generator, 2000);
		pid_t pid;

		flag->value = 0;
		pid = fork_child();
		if (!pid) {
			struct long_calls calls;

			start_long_calls(&calls);
			flag->value = 1;
			while (!calls.wrong)
				call_one_by_one(&calls);
			_exit(1);
		}
		while (!flag->value && !waitpid(pid, NULL, WNOHANG))
			sched_yield();
		while (wait--)
			sched_yield();
		if (!CHECK(kill_and_wait(pid)) || !CHECK(usage_becomes(at_start)))
			return false;
	}
	return true;
}

/* Calls that return a file descriptor */
static bool out_of_files(void)
{
	struct iommu_fault_alloc fault = { .size = sizeof(fault) };
	uint32_t before, after;
	struct rlimit old;
	struct user user;
	bool ok;
	int ret;

	use_device(&user);
	if (ioas_alloc(user.iommufd, &before) || destroy(user.iommufd, before))
		die("cannot use the iommufd");
	getrlimit(RLIMIT_NOFILE, &old);
	/* No more than those that are open */
	limit(RLIMIT_NOFILE, (user.fd > user.iommufd ? user.fd : user.iommufd) + 1);
	ret = open_file(device.node, O_RDWR);
	ok = CHECK(ret == -EMFILE);
	ok &= CHECK(open_file("/dev/iommu", O_RDWR) == -EMFILE);
	ok &= CHECK(call(user.iommufd, IOMMU_FAULT_QUEUE_ALLOC, &fault) == -EMFILE);
	limit(RLIMIT_NOFILE, old.rlim_cur);
	/* The object was not left behind: its ID is free */
	ok &= CHECK(!ioas_alloc(user.iommufd, &after)) && CHECK(after == before);
	user_close(&user);
	return ok && CHECK(usage_becomes(at_start));
}

/* The driver can be unbound and the device used when there can be no process */
static bool out_of_processes(void)
{
	pid_t pid;
	bool ok;

	make_cgroup("pids");
	pid = fork_child();
	if (!pid) {
		struct user user;
		uint64_t phys;
		void *va;

		write_file(CGROUP "/cgroup.procs", "0");
		write_file(CGROUP "/pids.max", "1");
		va = map_memory(page_size, MAP_PRIVATE);
		if (!CHECK(fork() < 0) || !CHECK(errno == EAGAIN))
			_exit(1);
		use_device(&user);
		_exit(CHECK(!map(&user, va, page_size, 0)) &&
		      CHECK(!query(&user, 0, &phys)) &&
		      CHECK(phys == pagemap_phys(va)) &&
		      CHECK(!device_detach(user.fd)) ? 0 : 1);
	}
	ok = succeeds(pid);
	remove_cgroup();
	return ok && CHECK(usage_becomes(at_start));
}

static const struct test tests[] = {
	{ "allocations fail at random under load", allocations_fail },
	{ "a result that cannot be written yet blocks no other call", result_waits },
	{ "pages vanish while the kernel waits for them", page_vanishes },
	{ "a process is killed while the kernel waits for its page", killed_while_waiting },
	{ "pages change while calls use them", pages_change },
	{ "RLIMIT_MEMLOCK of several processes of one user", limit_of_a_user },
	{ "out of memory while 1 TiB is mapped", out_of_memory },
	{ "signals do not end a call", signals },
	{ "SIGKILL ends a call", killed_in_a_call },
	{ "out of file descriptors", out_of_files },
	{ "out of processes", out_of_processes },
};

int main(int argc, char **argv)
{
	const char *selected = "";
	int option;

	page_size = getpagesize();
	while ((option = getopt(argc, argv, "6o:r:t:")) >= 0)
		switch (option) {
		case '6': on_6_12 = true; break;
		case 'o': nr_operations = number_of(optarg); break;
		case 'r': nr_rounds = number_of(optarg); break;
		case 't': selected = optarg; break;
		default: die("usage: faults [-o operations of stress] [-r rounds] [-t part of a test's name] [-6, on Linux 6.12] DEVICE...");
		}
	bdfs = argv + optind;
	nr_devices = argc - optind;
	if (nr_devices < 3 || nr_devices > MAX_DEVICES)
		die("3 to %u devices", MAX_DEVICES);
	device_find(&device, bdfs[0]);
	flag = shared_memory(page_size);
	at_start = usage_now();
	return run_tests(tests, ARRAY_SIZE(tests), selected);
}
