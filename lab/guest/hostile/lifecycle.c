// SPDX-License-Identifier: GPL-2.0-only
/*
 * lifecycle - devices, processes and drivers that go away while a device is used
 *
 * Each test leaves the system as it was: the pins, the charge and the page tables
 * of the system are compared, and all devices are opened and bound again.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/pci_regs.h>

#include "common.h"
#include "ops.h"

enum { MAX_DEVICES = 16, NR_PAGES = 64 };

/* How far the user of a device has got when the device is taken away */
enum stage { OPENED, BOUND, ATTACHED, MAPPED, BUSY, NR_STAGES };

static uint64_t page_size, nr_kills = 20, nr_rounds = 20;
static unsigned int nr_devices;
static bool on_6_12;
static char **bdfs;
static struct device devices[MAX_DEVICES];
static struct device functions[2];		/* of one slot */
static struct device pulled[NR_STAGES];		/* edu, each in a slot */
static struct device hotplugged;		/* edu, in a slot */
static const char *hotplug_driver;		/* QEMU's description of it */
static unsigned int nr_functions, nr_pulled;
static struct usage at_start;
static struct random generator = { 1 };

/*
 * Each device can be opened and bound: nothing is left of its last user. The last
 * device is only unplugged, as the emulator does not bear many resets of it.
 */
static bool all_devices_work(void)
{
	struct user user;
	unsigned int i;
	int ret;

	for (i = 0; i < nr_devices - 1; i++) {
		ret = user_open(&user, devices[i].node);
		if (ret) {
			printf("# %s: %s\n", devices[i].bdf, errno_name(-ret));
			return false;
		}
		user_close(&user);
	}
	return true;
}

static bool all_is_back(void)
{
	return usage_becomes(at_start) && all_devices_work();
}

/* Kill "stress" after a number of operations, which differs each time */
static bool kill_stress(uint64_t *killed_in)
{
	uint64_t operations = 1 + random_next(&generator) %
			      (1 << random_below(&generator, 12));
	int fd = memfd_create("progress", 0);
	struct progress *progress;
	char number[16], seed[24];
	char *args[MAX_DEVICES + 16] = {
		"stress", "-t", "2", "-a", "1000000000", "-p", number, "-s", seed,
	};
	unsigned int i;
	bool killed;
	pid_t pid;

	if (ftruncate(fd, page_size))
		die("ftruncate failed: %s", strerror(errno));
	progress = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (progress == MAP_FAILED)
		die("mmap failed: %s", strerror(errno));
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(seed, sizeof(seed), "%lu", random_next(&generator) >> 32);
	for (i = 0; i < nr_devices - 1; i++)
		args[9 + i] = (char *)devices[i].bdf;
	if (on_6_12)
		args[9 + i] = "-6";

	pid = fork_child();
	if (!pid) {
		dup2(open_file("/tmp/stress.log", O_RDWR | O_CREAT | O_TRUNC), 1);
		execv("/programs/stress", args);
		_exit(127);
	}
	while (progress->operations < operations && !waitpid(pid, NULL, WNOHANG))
		sched_yield();
	killed_in[progress->op]++;
	killed = kill_and_wait(pid);
	if (!killed)
		printf("# 'stress -t 2 -s %s' ended by itself\n", seed);
	munmap(progress, page_size);
	close(fd);
	write_file(PARAMETER, "Y");
	return killed;
}

static bool kills(void)
{
	uint64_t killed_in[NR_OPS] = {}, i;
	unsigned int op;

	for (i = 0; i < nr_kills; i++) {
		if (!kill_stress(killed_in) || !usage_becomes(at_start) ||
		    (i % 16 == 0 && !all_devices_work())) {
			printf("# after %lu kills\n", i + 1);
			return false;
		}
	}
	printf("# %lu kills, in", nr_kills);
	for (op = 0; op < NR_OPS; op++)
		if (killed_in[op])
			printf(" %s: %lu,", op_names[op], killed_in[op]);
	printf("\n");
	return all_is_back();
}

/* Memory that a user has mapped at IOVA 0 */
static void *map_for(struct user *user, unsigned int nr_pages)
{
	void *va = map_memory(nr_pages * page_size, MAP_PRIVATE);
	uint64_t iova = 0;

	memset(va, 0x5a, nr_pages * page_size);
	if (ioas_map(user->iommufd, user->ioas_id, va, nr_pages * page_size, &iova,
		     MAP_AT))
		die("cannot map memory");
	return va;
}

static uint64_t phys_at(struct user *user, uint64_t iova)
{
	uint64_t length = 1, phys;

	return get_pa(user->iommufd, user->ioas_id, iova, &length, &phys) ? 0 : phys;
}

/* Runs in the new program, with the file descriptors of the old one */
static int after_exec(char **args)
{
	struct user user = {
		.iommufd = number_of(args[0]),
		.fd = number_of(args[1]),
		.ioas_id = number_of(args[2]),
	};
	uint64_t length = NR_PAGES * page_size;
	void *va;

	/* The memory of the old program is still pinned */
	if (!CHECK(phys_at(&user, 0) == number_of(args[3])) ||
	    !CHECK(!ioas_unmap(user.iommufd, user.ioas_id, 0, &length)) ||
	    !CHECK(!phys_at(&user, 0)))
		return 1;
	va = map_for(&user, 1);
	return CHECK(phys_at(&user, 0) == pagemap_phys(va)) &&
	       CHECK(!device_detach(user.fd)) ? 0 : 1;
}

static bool fork_and_exec(void)
{
	char text[4][24];
	struct user user;
	uint64_t phys;
	void *va;
	pid_t pid;

	if (user_open(&user, devices[0].node))
		die("cannot use %s", devices[0].bdf);
	va = map_for(&user, NR_PAGES);
	phys = pagemap_phys(va);
	pid = fork_child();
	if (!pid) {
		uint64_t iova = 1ULL << 30;
		void *own = map_memory(page_size, MAP_PRIVATE);

		/* The child writes to a copy, the pinned page stays with the parent */
		memset(va, 0, page_size);
		memset(own, 1, page_size);
		if (!CHECK(pagemap_phys(va) != phys) ||
		    !CHECK(phys_at(&user, 0) == phys) ||
		    !CHECK(!ioas_map(user.iommufd, user.ioas_id, own, page_size,
				     &iova, MAP_AT)) ||
		    !CHECK(phys_at(&user, iova) == pagemap_phys(own)))
			_exit(1);
		fcntl(user.fd, F_SETFD, 0);
		fcntl(user.iommufd, F_SETFD, 0);
		snprintf(text[0], sizeof(text[0]), "%d", user.iommufd);
		snprintf(text[1], sizeof(text[1]), "%d", user.fd);
		snprintf(text[2], sizeof(text[2]), "%u", user.ioas_id);
		snprintf(text[3], sizeof(text[3]), "%lu", phys);
		execl("/proc/self/exe", "lifecycle", "-x", text[0], text[1],
		      text[2], text[3], NULL);
		_exit(127);
	}
	user_close(&user);
	if (!succeeds(pid) || !CHECK(pagemap_phys(va) == phys))
		return false;
	munmap(va, NR_PAGES * page_size);
	return all_is_back();
}

/* The process whose memory is mapped has ended; others have the devices */
static bool owner_ends_first(void)
{
	uint64_t *phys = shared_memory(page_size), iova = 0;
	uint32_t other_id, id;
	struct user user;
	pid_t pid;

	if (user_open(&user, devices[0].node) ||
	    ioas_alloc(user.iommufd, &other_id))
		die("cannot use %s", devices[0].bdf);
	pid = fork_child();
	if (!pid) {
		map_for(&user, NR_PAGES);
		*phys = phys_at(&user, 0);
		_exit(0);
	}
	if (!succeeds(pid) || !CHECK(*phys) || !CHECK(phys_at(&user, 0) == *phys))
		return false;
	/* A copy reads the pinned pages. There is nothing to pin again. */
	if (!CHECK(!ioas_copy(user.iommufd, other_id, &iova, user.ioas_id, 0,
			      NR_PAGES * page_size, MAP_AT)))
		return false;
	id = other_id;
	if (!CHECK(!device_attach(user.fd, &id)))
		return false;
	user.ioas_id = other_id;
	if (!CHECK(phys_at(&user, 0) == *phys) || !CHECK(!device_detach(user.fd)))
		return false;
	id = other_id;
	if (!CHECK(device_attach(user.fd, &id) == -EFAULT) ||
	    !CHECK(usage_becomes(at_start)))
		return false;
	user_close(&user);
	munmap(phys, page_size);
	return all_is_back();
}

/* A process without CAP_SYS_RAWIO gets the file descriptors */
static bool fewer_rights(void)
{
	struct user user;
	int unbound;
	pid_t pid;

	if (user_open(&user, devices[0].node))
		die("cannot use %s", devices[0].bdf);
	unbound = open_file(devices[1].node, O_RDWR);
	map_for(&user, 1);
	pid = fork_child();
	if (!pid) {
		uint64_t iova = 1ULL << 30, length = 1, phys;
		void *own = map_memory(page_size, MAP_PRIVATE);
		struct iommu_noiommu_extent extent;
		uint32_t id = user.ioas_id;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		if (!CHECK(open_file(devices[1].node, O_RDWR) < 0) ||
		    !CHECK(device_bind(unbound, user.iommufd, &id) == -EPERM) ||
		    !CHECK(get_pa(user.iommufd, user.ioas_id, 0, &length, &phys) ==
			   -EPERM) ||
		    !CHECK(get_pa_array(user.iommufd, user.ioas_id, 0, &length,
					&extent, 1) == -EPERM))
			_exit(1);
		/* The rest needs only the file descriptor, as with an IOMMU */
		id = user.ioas_id;
		_exit(CHECK(!ioas_map(user.iommufd, user.ioas_id, own, page_size,
				      &iova, MAP_AT)) &&
		      CHECK(!device_attach(user.fd, &id)) &&
		      CHECK(!device_detach(user.fd)) ? 0 : 1);
	}
	if (!succeeds(pid))
		return false;
	close(unbound);
	user_close(&user);
	return all_is_back();
}

struct load {
	struct user user;
	uint64_t phys;
	void *regs;		/* of an edu device that does DMA */
	_Atomic bool stop, stop_dma, wrong;
	atomic_ulong nr_calls[3], nr_dma;
};

static void *query_all_the_time(void *arg)
{
	struct load *load = arg;
	int ret;

	while (!load->stop) {
		uint64_t length = UINT64_MAX, phys;

		ret = get_pa(load->user.iommufd, load->user.ioas_id, 0, &length,
			     &phys);
		if (ret ? ret != -EOPNOTSUPP : phys != load->phys)
			load->wrong = true;
		load->nr_calls[0]++;
	}
	return NULL;
}

static void *map_all_the_time(void *arg)
{
	struct load *load = arg;
	void *va = map_memory(NR_PAGES * page_size, MAP_PRIVATE);

	while (!load->stop) {
		uint64_t iova = 1ULL << 30, length = NR_PAGES * page_size;

		if (ioas_map(load->user.iommufd, load->user.ioas_id, va, length,
			     &iova, MAP_AT) ||
		    ioas_unmap(load->user.iommufd, load->user.ioas_id, iova,
			       &length))
			load->wrong = true;
		load->nr_calls[1]++;
	}
	munmap(va, NR_PAGES * page_size);
	return NULL;
}

static void *allocate_all_the_time(void *arg)
{
	struct load *load = arg;
	uint32_t id;
	int ret;

	while (!load->stop) {
		ret = hwpt_alloc(load->user.iommufd, load->user.devid,
				 load->user.ioas_id, &id);
		/* The device may be gone */
		if (ret ? ret != -ENOENT : destroy(load->user.iommufd, id))
			load->wrong = true;
		load->nr_calls[2]++;
	}
	return NULL;
}

static int request_eventfd(int device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} args = {
		.set.argsz = sizeof(args),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_REQ_IRQ_INDEX,
		.set.count = 1,
		.fd = eventfd(0, EFD_CLOEXEC),
	};

	if (call(device, VFIO_DEVICE_SET_IRQS, &args))
		die("cannot set the eventfd for the request to release a device");
	return args.fd;
}

static void start_load(struct load *load, pthread_t threads[3])
{
	void *(*const functions[])(void *) = {
		query_all_the_time, map_all_the_time, allocate_all_the_time,
	};
	unsigned int i;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, functions[i], load);
}

static void wait_for_load(struct load *load)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		uint64_t calls = load->nr_calls[i];

		while (load->nr_calls[i] < calls + 20)
			sched_yield();
	}
}

static void end_load(struct load *load, pthread_t threads[3])
{
	unsigned int i;

	load->stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

#define MONITOR "/dev/ttyS2"

/* Run a command of QEMU, whose monitor is at the other end of the serial port */
static void monitor(const char *command)
{
	int fd = open_file(MONITOR, O_RDWR | O_NOCTTY);
	struct termios settings;
	char answer[4096] = {};
	size_t length = 0;
	ssize_t ret;

	if (fd < 0 || tcgetattr(fd, &settings))
		die("cannot use " MONITOR);
	cfmakeraw(&settings);
	cfsetspeed(&settings, B115200);
	if (tcsetattr(fd, TCSANOW, &settings) || tcflush(fd, TCIOFLUSH))
		die("cannot set up " MONITOR);
	/* 0xff discards what the terminal has echoed. The first command fails if repeated. */
	dprintf(fd, "\xff{'execute': 'qmp_capabilities'}"
		"{'execute': 'human-monitor-command', "
		"'arguments': {'command-line': '%s'}, 'id': 1}", command);
	while (!strstr(answer, "\"id\": 1}")) {
		ret = read(fd, answer + length, sizeof(answer) - 1 - length);
		if (ret <= 0)
			die("no result of QEMU's command '%s': %s", command, answer);
		length += ret;
	}
	if (!strstr(answer, "{\"return\": \"\", "))
		die("QEMU's command '%s' failed: %s", command, answer);
	close(fd);
}

/*
 * What takes a device away: a command of QEMU, or @nr_writes times @length bytes to
 * this place of a file
 */
struct taking {
	const char *command;
	char path[128];
	const char *bytes;
	size_t length;
	unsigned int nr_writes;
	off_t at;
};

static void take(const struct taking *taking)
{
	unsigned int i;
	int fd;

	if (taking->command) {
		monitor(taking->command);
		return;
	}
	fd = open_file(taking->path, O_WRONLY);
	for (i = 0; i < taking->nr_writes; i++)
		if (pwrite(fd, taking->bytes + i * taking->length,
			   taking->length, taking->at) < 0)
			die("cannot write to %s: %s", taking->path, strerror(errno));
	close(fd);
}

/* A process that writes to the file, which may take until the device is closed */
static pid_t take_in_background(const struct taking *taking, int device)
{
	pid_t pid = fork_child();

	if (!pid) {
		/* Only the parent has the device open */
		close(device);
		take(taking);
		_exit(0);
	}
	return pid;
}

/* The node may vanish some time later */
static bool node_vanishes(const char *node)
{
	time_t end = time(NULL) + 40;

	while (!access(node, F_OK))
		if (time(NULL) > end)
			return false;
	return true;
}

/* Start DMA of an edu device to its mapping */
static void start_dma(struct load *load)
{
	struct vfio_region_info bar;

	device_bar(load->user.fd, &bar);
	load->regs = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  load->user.fd, bar.offset);
	if (load->regs == MAP_FAILED)
		die("cannot map a BAR: %s", strerror(errno));
	device_command(load->user.fd, PCI_COMMAND_MASTER, 0);
	edu_start_dma(load->regs, load->phys, page_size / 2);
}

static void *dma_all_the_time(void *arg)
{
	struct load *load = arg;

	while (!load->stop_dma) {
		while (edu_is_busy(load->regs))
			sched_yield();
		load->nr_dma++;
		edu_start_dma(load->regs, load->phys, page_size / 2);
	}
	return NULL;
}

/*
 * Take the device away from a user who has reached this stage. The user closes
 * the device when it is requested to. A device that vanishes, or that QEMU takes, is
 * edu, and does DMA.
 */
static bool take_away(struct device *device, enum stage stage,
		      const struct taking *taking, bool vanishes)
{
	struct load load = {};
	struct user *user = &load.user;
	pthread_t threads[3], dma;
	int request = -1;
	time_t closed;
	uint64_t value;
	void *va = NULL;
	pid_t pid = 0;
	uint32_t id;

	user->iommufd = open_file("/dev/iommu", O_RDWR);
	user->fd = open_file(device->node, O_RDWR);
	if (user->iommufd < 0 || user->fd < 0)
		die("cannot open %s", device->node);
	if (stage >= BOUND) {
		if (device_bind(user->fd, user->iommufd, &user->devid) ||
		    ioas_alloc(user->iommufd, &user->ioas_id))
			die("cannot bind %s", device->bdf);
		request = request_eventfd(user->fd);
	}
	id = user->ioas_id;
	if (stage >= ATTACHED && device_attach(user->fd, &id))
		die("cannot attach %s", device->bdf);
	if (stage >= MAPPED) {
		va = map_for(user, NR_PAGES);
		load.phys = phys_at(user, 0);
	}
	if (stage == BUSY)
		start_load(&load, threads);
	if (stage == BUSY && (vanishes || taking->command))
		start_dma(&load);
	if (stage == BUSY && taking->command)
		pthread_create(&dma, NULL, dma_all_the_time, &load);

	if (vanishes)
		take(taking);
	else
		pid = take_in_background(taking, user->fd);
	/* A device that is not bound has no eventfd; the request waits */
	if (request >= 0 && read(request, &value, sizeof(value)) != sizeof(value))
		die("cannot read the eventfd");
	if (stage == BUSY)
		wait_for_load(&load);
	if (stage == BUSY && taking->command) {
		uint64_t before = load.nr_dma;

		/* The device still works */
		while (load.nr_dma < before + 2)
			sched_yield();
		load.stop_dma = true;
		pthread_join(dma, NULL);
		if (!CHECK(!*(char *)va))
			return false;
	}
	if (load.regs)
		munmap(load.regs, page_size);
	if (stage >= MAPPED && !CHECK(phys_at(user, 0) == load.phys))
		return false;
	closed = time(NULL);
	close(user->fd);
	/* It waits for the calls that use the device, but not for a timeout */
	if (!CHECK(time(NULL) - closed < 40) || (pid && !succeeds(pid)))
		return false;
	if (stage == BUSY) {
		/* The iommufd works on without the device */
		wait_for_load(&load);
		end_load(&load, threads);
	}
	if (!CHECK(!load.wrong) || !CHECK(node_vanishes(device->node)) ||
	    !CHECK(usage_becomes(at_start)))
		return false;
	if (load.regs && vanishes)
		printf("# the DMA was %s\n", *(char *)va ? "cut off" : "complete");
	close(request);
	close(user->iommufd);
	if (va)
		munmap(va, NR_PAGES * page_size);
	return true;
}

static void bind_driver(struct device *device)
{
	const char *bdf = device->bdf;
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	write_file(path, "vfio-pci");
	write_file("/sys/bus/pci/drivers_probe", "%s", bdf);
	device_find(device, bdf);
}

static bool unbind(void)
{
	struct taking taking = {
		.path = "/sys/bus/pci/drivers/vfio-pci/unbind",
		.bytes = bdfs[1],
		.length = strlen(bdfs[1]),
		.nr_writes = 1,
	};
	uint64_t round;

	for (round = 0; round < nr_rounds; round++) {
		if (!take_away(&devices[1], round % NR_STAGES, &taking, false))
			return false;
		bind_driver(&devices[1]);
	}
	return all_is_back();
}

static bool removal(void)
{
	struct taking taking = { .bytes = "1", .length = 1, .nr_writes = 1 };
	uint64_t round;

	snprintf(taking.path, sizeof(taking.path),
		 "/sys/bus/pci/devices/%s/remove", bdfs[1]);
	for (round = 0; round < nr_rounds; round++) {
		if (!take_away(&devices[1], round % NR_STAGES, &taking, false))
			return false;
		write_file("/sys/bus/pci/rescan", "1");
		bind_driver(&devices[1]);
	}
	return all_is_back();
}

/* A file of the slot that the device is in */
static void find_slot(char *path, size_t size, const char *bdf, const char *name)
{
	char address[32], expected[32];
	unsigned int slot;
	bool found = false;
	FILE *file;

	/* BDF without the function */
	snprintf(expected, sizeof(expected), "%.*s\n",
		 (int)(strrchr(bdf, '.') - bdf), bdf);
	for (slot = 0; !found && slot < 256; slot++) {
		snprintf(path, size, "/sys/bus/pci/slots/%u/address", slot);
		file = fopen(path, "re");
		if (!file)
			continue;
		found = fgets(address, sizeof(address), file) &&
			!strcmp(address, expected);
		fclose(file);
	}
	if (!found)
		die("%s is not in a slot", bdf);
	snprintf(path, size, "/sys/bus/pci/slots/%u/%s", slot - 1, name);
}

/* The emulator takes the last device out of its slot. It does not come back. */
static bool unplug(void)
{
	struct taking taking = { .bytes = "0", .length = 1, .nr_writes = 1 };
	unsigned int last = nr_devices - 1;
	char path[128];

	find_slot(taking.path, sizeof(taking.path), bdfs[last], "power");
	if (!take_away(&devices[last], BUSY, &taking, false))
		return false;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdfs[last]);
	if (!CHECK(access(path, F_OK)))
		return false;
	return all_is_back();
}

/* The slot may be empty some time later */
static bool slot_becomes_empty(const char *adapter)
{
	time_t end = time(NULL) + 40;
	char text;
	int fd;

	do {
		fd = open_file(adapter, O_RDONLY);
		if (fd < 0 || read(fd, &text, 1) != 1)
			die("cannot read %s", adapter);
		close(fd);
	} while (text != '0' && time(NULL) < end);
	return text == '0';
}

/*
 * QEMU takes a device out of its slot, after the kernel has agreed: as if somebody
 * had pressed the button of the slot. Then it puts in a new one.
 */
static bool hot_unplug(void)
{
	struct taking taking = { .command = "device_del hotplugged" };
	char adapter[128], device[128], command[256];
	time_t end;
	uint64_t round;

	if (!hotplugged.bdf || !hotplug_driver)
		die("the options -m and -a are required");
	snprintf(command, sizeof(command), "device_add %s,id=hotplugged",
		 hotplug_driver);
	find_slot(adapter, sizeof(adapter), hotplugged.bdf, "adapter");
	snprintf(device, sizeof(device), "/sys/bus/pci/devices/%s",
		 hotplugged.bdf);
	for (round = 0; round < nr_rounds; round++) {
		if (!take_away(&hotplugged, round % NR_STAGES, &taking, false) ||
		    !CHECK(slot_becomes_empty(adapter)) ||
		    !CHECK(access(device, F_OK))) {
			printf("# at stage %lu\n", round % NR_STAGES);
			return false;
		}
		monitor(command);
		for (end = time(NULL) + 40; access(device, F_OK);)
			if (time(NULL) > end)
				die("%s does not come back", hotplugged.bdf);
		/* Waits until its BARs have addresses */
		write_file("/sys/bus/pci/rescan", "1");
		bind_driver(&hotplugged);
	}
	return all_is_back();
}

/* The place of a port's slot control register, and its value */
static off_t slot_control(const char *config, uint16_t *value)
{
	uint8_t bytes[256];
	int fd = open_file(config, O_RDONLY);
	uint8_t at;

	if (fd < 0 || pread(fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
		die("cannot read %s", config);
	close(fd);
	at = bytes[PCI_CAPABILITY_LIST];
	while (at && bytes[at] != PCI_CAP_ID_EXP)
		at = bytes[at + 1];
	if (!at)
		die("%s has no PCI Express capability", config);
	memcpy(value, bytes + at + PCI_EXP_SLTCTL, sizeof(*value));
	return at + PCI_EXP_SLTCTL;
}

/*
 * Devices that vanish: the power of their slots is cut for a moment, and QEMU takes
 * them out. The kernel gets the interrupt afterwards. They do not come back.
 */
static bool surprise_removal(void)
{
	uint16_t values[2];
	struct taking taking = {
		.bytes = (char *)values,
		.length = sizeof(values[0]),
		.nr_writes = 2,
	};
	unsigned int stage;

	if (nr_pulled != NR_STAGES)
		die("%u options -p are required", NR_STAGES);
	for (stage = 0; stage < NR_STAGES; stage++) {
		snprintf(taking.path, sizeof(taking.path),
			 "/sys/bus/pci/devices/%s/../config", pulled[stage].bdf);
		taking.at = slot_control(taking.path, &values[1]);
		values[0] = (values[1] & ~PCI_EXP_SLTCTL_HPIE) |
			    PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;
		if (!take_away(&pulled[stage], stage, &taking, true)) {
			printf("# at stage %u\n", stage);
			return false;
		}
	}
	return all_is_back();
}

static int hot_reset(int fd)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	return call(fd, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

/* States of the other function, and whether a user of the first may reset both */
static const struct sibling {
	const char *name;
	enum { UNTOUCHED, IS_OPEN, OTHER_IOMMUFD, IN_GROUP, NO_DRIVER, REMOVED,
	       IS_BOUND, IS_ATTACHED, IN_USE } state;
	int expected;
} siblings[] = {
	{ "closed", UNTOUCHED, -EINVAL },
	{ "open, but not bound", IS_OPEN, -EINVAL },
	{ "bound to another iommufd", OTHER_IOMMUFD, -EINVAL },
	{ "used by its group", IN_GROUP, -EINVAL },
	{ "without a driver", NO_DRIVER, -EINVAL },
	{ "removed", REMOVED, 0 },
	{ "bound", IS_BOUND, 0 },
	{ "attached to the same IOAS", IS_ATTACHED, 0 },
	{ "mapping memory", IN_USE, 0 },
};

static bool reset_next_to(const struct sibling *sibling, struct user *user,
			  uint64_t phys)
{
	struct load load = { .user = *user };
	struct user other = { .fd = -1, .iommufd = -1 };
	struct device *device = &functions[1];
	pthread_t threads[3];
	char path[128];
	void *va = NULL;
	uint32_t id;
	bool ok;

	switch (sibling->state) {
	case UNTOUCHED:
		break;
	case OTHER_IOMMUFD:
		if (user_open(&other, device->node))
			die("cannot use %s", device->bdf);
		break;
	case IN_GROUP:
		other.fd = open_file(device->group, O_RDWR);
		if (other.fd < 0)
			die("cannot open %s", device->group);
		break;
	case NO_DRIVER:
		write_file("/sys/bus/pci/drivers/vfio-pci/unbind", "%s", device->bdf);
		break;
	case REMOVED:
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove",
			 device->bdf);
		write_file(path, "1");
		break;
	default:
		other.fd = open_file(device->node, O_RDWR);
		load.user.fd = other.fd;
		if (other.fd < 0 ||
		    (sibling->state >= IS_BOUND &&
		     device_bind(other.fd, user->iommufd, &load.user.devid)))
			die("cannot use %s", device->bdf);
		break;
	}
	if (sibling->state == IN_USE &&
	    ioas_alloc(user->iommufd, &load.user.ioas_id))
		die("cannot allocate an IOAS");
	id = load.user.ioas_id;
	if (sibling->state >= IS_ATTACHED && device_attach(other.fd, &id))
		die("cannot attach %s", device->bdf);
	if (sibling->state == IN_USE) {
		va = map_for(&load.user, NR_PAGES);
		load.phys = phys_at(&load.user, 0);
		start_load(&load, threads);
		wait_for_load(&load);
	}

	ok = CHECK(hot_reset(user->fd) == sibling->expected) &&
	     CHECK(phys_at(user, 0) == phys);
	if (sibling->state == IN_USE) {
		wait_for_load(&load);
		end_load(&load, threads);
		ok = ok && CHECK(!load.wrong) &&
		     CHECK(phys_at(&load.user, 0) == load.phys) &&
		     CHECK(((char *)va)[page_size] == 0x5a);
		munmap(va, NR_PAGES * page_size);
	}
	if (sibling->state == REMOVED)
		write_file("/sys/bus/pci/rescan", "1");
	if (sibling->state == REMOVED || sibling->state == NO_DRIVER)
		bind_driver(device);
	close(other.fd);
	close(other.iommufd);
	return ok;
}

static bool hot_resets(void)
{
	unsigned int i;

	if (nr_functions != ARRAY_SIZE(functions))
		die("two options -f are required");
	for (i = 0; i < ARRAY_SIZE(siblings); i++) {
		struct user user;
		void *va;
		bool ok;

		if (user_open(&user, functions[0].node))
			die("cannot use %s", functions[0].bdf);
		va = map_for(&user, NR_PAGES);
		ok = reset_next_to(&siblings[i], &user, phys_at(&user, 0));
		user_close(&user);
		munmap(va, NR_PAGES * page_size);
		if (!ok || !CHECK(usage_becomes(at_start))) {
			printf("# the other function is %s\n", siblings[i].name);
			return false;
		}
	}
	return all_is_back();
}

/* A BAR that is mapped, and revoked at any time */
struct revoking {
	struct user user;
	int dma_buf;
	uint64_t start;		/* physical address */
	_Atomic bool stop, wrong;
	atomic_ulong mapped, refused, found, revoked;
};

static void *map_bar_all_the_time(void *arg)
{
	struct revoking *revoking = arg;
	struct user *user = &revoking->user;

	while (!revoking->stop) {
		uint64_t iova = 0, length = page_size;
		unsigned int i;
		int ret;

		ret = ioas_map_file(user->iommufd, user->ioas_id,
				    revoking->dma_buf, 0, page_size, &iova, MAP_AT);
		if (ret) {
			revoking->refused++;
			revoking->wrong |= !CHECK(ret == -ENODEV);
			continue;
		}
		revoking->mapped++;
		for (i = 0; i < 20; i++) {
			uint64_t any = 1, phys;

			ret = get_pa(user->iommufd, user->ioas_id, 0, &any, &phys);
			if (ret) {
				revoking->revoked++;
				revoking->wrong |= !CHECK(ret == -EINVAL);
			} else {
				revoking->found++;
				revoking->wrong |= !CHECK(phys == revoking->start);
			}
		}
		revoking->wrong |= !CHECK(!ioas_unmap(user->iommufd, user->ioas_id,
						      0, &length));
	}
	return NULL;
}

static uint64_t bar_start(const char *bdf, unsigned int index)
{
	uint64_t start = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", bdf);
	file = fopen(path, "re");
	do {
		if (!file || fscanf(file, "%lx %*x %*x", &start) != 1)
			die("cannot read %s", path);
	} while (index--);
	fclose(file);
	return start;
}

static bool revoked_bar(void)
{
	struct revoking revoking = {};
	struct vfio_region_info bar;
	pthread_t thread;

	if (user_open(&revoking.user, devices[2].node))
		die("cannot use %s", devices[2].bdf);
	device_bar(revoking.user.fd, &bar);
	revoking.start = bar_start(devices[2].bdf, bar.index);
	revoking.dma_buf = device_export_bar(revoking.user.fd, bar.index);
	if (on_6_12) {
		user_close(&revoking.user);
		return CHECK(revoking.dma_buf == -ENOTTY);
	}
	if (revoking.dma_buf < 0)
		die("cannot export a BAR of %s", devices[2].bdf);
	pthread_create(&thread, NULL, map_bar_all_the_time, &revoking);
	while (!revoking.wrong &&
	       (revoking.mapped < nr_rounds || revoking.refused < nr_rounds ||
		revoking.found < nr_rounds || revoking.revoked < nr_rounds)) {
		unsigned long calls = revoking.mapped + revoking.found;

		device_command(revoking.user.fd, 0, PCI_COMMAND_MEMORY);
		sched_yield();
		device_command(revoking.user.fd, PCI_COMMAND_MEMORY, 0);
		while (!revoking.wrong && revoking.mapped + revoking.found == calls)
			sched_yield();
	}
	revoking.stop = true;
	pthread_join(thread, NULL);
	printf("# MAP_FILE: %lu, %lu refused; GET_PA: %lu, %lu revoked\n",
	       revoking.mapped, revoking.refused, revoking.found, revoking.revoked);
	close(revoking.dma_buf);
	user_close(&revoking.user);
	return !revoking.wrong && all_is_back();
}

/* Two users who both want the device, one its group and one its cdev */
struct fight {
	atomic_uint owner;
	atomic_ulong wins[2], losses[2];
	_Atomic bool wrong;
};

static void own(struct fight *fight, unsigned int user)
{
	unsigned int nobody = 0;

	fight->wins[user]++;
	if (!atomic_compare_exchange_strong(&fight->owner, &nobody, user + 1))
		fight->wrong = true;
	sched_yield();
	fight->owner = 0;
}

static void lose(struct fight *fight, unsigned int user, int ret)
{
	fight->losses[user]++;
	if (ret == -EBUSY)
		return;
	printf("# the %s: %s\n", user ? "cdev" : "group", errno_name(-ret));
	fight->wrong = true;
}

static bool fight_is_over(struct fight *fight)
{
	return fight->wrong || (fight->wins[0] >= nr_rounds &&
				fight->wins[1] >= nr_rounds &&
				fight->losses[0] + fight->losses[1] >= nr_rounds);
}

static void use_group(struct fight *fight)
{
	int fd;

	while (!fight_is_over(fight)) {
		fd = open_file(devices[0].group, O_RDWR);
		if (fd < 0) {
			lose(fight, 0, fd);
			continue;
		}
		own(fight, 0);
		close(fd);
	}
}

static void use_cdev(struct fight *fight)
{
	int iommufd = open_file("/dev/iommu", O_RDWR), fd, ret;
	uint32_t id;

	while (!fight_is_over(fight)) {
		fd = open_file(devices[0].node, O_RDWR);
		if (fd < 0) {
			lose(fight, 1, fd);
			continue;
		}
		ret = device_bind(fd, iommufd, &id);
		if (ret)
			lose(fight, 1, ret);
		else
			own(fight, 1);
		close(fd);
	}
}

static bool group_against_cdev(void)
{
	struct fight *fight = shared_memory(page_size);
	pid_t group, cdev;
	bool ok;

	group = fork_child();
	if (!group) {
		use_group(fight);
		_exit(0);
	}
	cdev = fork_child();
	if (!cdev) {
		use_cdev(fight);
		_exit(0);
	}
	ok = succeeds(group);
	ok &= succeeds(cdev);
	printf("# group: %lu times, %lu times busy; cdev: %lu times, %lu times busy\n",
	       fight->wins[0], fight->losses[0], fight->wins[1], fight->losses[1]);
	return ok && CHECK(!fight->wrong) && all_is_back();
}

/* Suspend as far as @level while the device is mapped and GET_PA runs */
static bool suspend_to(const char *level)
{
	struct load load = {};
	pthread_t thread;
	uint64_t calls;
	void *va;

	if (user_open(&load.user, devices[0].node))
		die("cannot use %s", devices[0].bdf);
	va = map_for(&load.user, NR_PAGES);
	load.phys = pagemap_phys(va);
	pthread_create(&thread, NULL, query_all_the_time, &load);

	write_file("/sys/power/pm_test", "%s", level);
	write_file("/sys/power/state", "freeze");
	write_file("/sys/power/pm_test", "none");

	calls = load.nr_calls[0];
	while (load.nr_calls[0] < calls + 100)
		sched_yield();
	load.stop = true;
	pthread_join(thread, NULL);
	if (!CHECK(!load.wrong) || !CHECK(phys_at(&load.user, 0) == load.phys) ||
	    !CHECK(((char *)va)[page_size] == 0x5a) ||
	    !CHECK(device_can_reset(load.user.fd) >= 0) ||
	    !CHECK(!device_detach(load.user.fd)) || !CHECK(!phys_at(&load.user, 0)))
		return false;
	user_close(&load.user);
	munmap(va, NR_PAGES * page_size);
	return true;
}

static bool suspend(void)
{
	write_file("/sys/module/suspend/parameters/pm_test_delay", "0");
	return suspend_to("freezer") && suspend_to("devices") &&
	       suspend_to("platform") && all_is_back();
}

static const struct test tests[] = {
	{ "processes are killed in all states", kills },
	{ "fork and exec with open devices", fork_and_exec },
	{ "the process that mapped its memory ends first", owner_ends_first },
	{ "a process with fewer rights gets the devices", fewer_rights },
	{ "the driver is unbound from a device in use", unbind },
	{ "a device in use is removed", removal },
	{ "a group user and a cdev user want the device", group_against_cdev },
	{ "suspend and resume", suspend },
	{ "a BAR is revoked while it is mapped", revoked_bar },
	{ "hot reset next to a function in each state", hot_resets },
	{ "a device in use is unplugged", unplug },
	{ "QEMU takes a device in use", hot_unplug },
	{ "a device in use vanishes", surprise_removal },
};

int main(int argc, char **argv)
{
	unsigned int nr_tests = ARRAY_SIZE(tests), i;
	const char *selected = "";
	int option;

	page_size = getpagesize();
	if (argc > 1 && !strcmp(argv[1], "-x"))
		return after_exec(argv + 2);
	while ((option = getopt(argc, argv, "6a:f:k:m:p:r:s:t:u")) >= 0)
		switch (option) {
		case '6': on_6_12 = true; break;
		case 'f':
			if (nr_functions < ARRAY_SIZE(functions))
				device_find(&functions[nr_functions++], optarg);
			break;
		case 'p':
			if (nr_pulled < NR_STAGES)
				device_find(&pulled[nr_pulled++], optarg);
			break;
		case 'a': hotplug_driver = optarg; break;
		case 'm': device_find(&hotplugged, optarg); break;
		case 'k': nr_kills = number_of(optarg); break;
		case 'r': nr_rounds = number_of(optarg); break;
		case 's': generator.state = number_of(optarg); break;
		case 't': selected = optarg; break;
		case 'u': nr_tests = ARRAY_SIZE(tests) - 3; break; /* nothing is unplugged */
		default: die("usage: lifecycle [-k kills] [-r rounds] [-s seed] [-t part of a test's name] [-u] [-6, on Linux 6.12] [-f function]... [-p device to pull]... [-m device for device_del] [-a its description for device_add] DEVICE...");
		}
	bdfs = argv + optind;
	nr_devices = argc - optind;
	if (nr_devices < 4 || nr_devices > MAX_DEVICES)
		die("4 to %u devices, of which the last one is in a slot", MAX_DEVICES);
	for (i = 0; i < nr_devices; i++)
		device_find(&devices[i], bdfs[i]);
	at_start = usage_now();
	return run_tests(tests, nr_tests, selected);
}
