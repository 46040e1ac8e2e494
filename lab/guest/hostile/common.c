// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/pci_regs.h>

#include "common.h"

static unsigned int nr_results, nr_failed;

void ktap_start(unsigned int nr_planned)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%u\n", nr_planned);
}

bool ktap(bool ok, const char *format, ...)
{
	va_list args;

	nr_results++;
	nr_failed += !ok;
	printf("%sok %u ", ok ? "" : "not ", nr_results);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return ok;
}

int ktap_end(void)
{
	return nr_failed ? 1 : 0;
}

int run_tests(const struct test *tests, unsigned int nr_tests, const char *text)
{
	unsigned int nr_selected = 0, i;

	for (i = 0; i < nr_tests; i++)
		nr_selected += !!strstr(tests[i].name, text);
	ktap_start(nr_selected);
	for (i = 0; i < nr_tests; i++)
		if (strstr(tests[i].name, text))
			ktap(tests[i].run(), "%s", tests[i].name);
	return ktap_end();
}

bool check(bool ok, const char *what)
{
	if (!ok)
		printf("# failed: %s\n", what);
	return ok;
}

void die(const char *format, ...)
{
	va_list args;

	printf("# error: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nBail out!\n");
	exit(1);
}

uint64_t random_next(struct random *random)
{
	uint64_t x = random->state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

int call(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void device_find(struct device *device, const char *bdf)
{
	char path[320], link[256] = {};
	struct dirent *entry;
	uint8_t pin = 0;
	DIR *dir;
	int fd;

	memset(device, 0, sizeof(*device));
	device->bdf = bdf;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	if (!dir)
		die("%s is not bound to vfio-pci", bdf);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(device->node, sizeof(device->node),
				 "/dev/vfio/devices/%.40s", entry->d_name);
	closedir(dir);
	device->noiommu = strstr(device->node, "/noiommu-vfio");

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open_file(path, O_RDONLY);
	if (fd < 0 || pread(fd, &pin, 1, PCI_INTERRUPT_PIN) != 1)
		die("cannot read %s", path);
	close(fd);
	device->intx = pin;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	if (device->noiommu && readlink(path, link, sizeof(link) - 1) > 0)
		snprintf(device->group, sizeof(device->group),
			 "/dev/vfio/noiommu-%.40s", strrchr(link, '/') + 1);
}

int device_bind(int fd, int iommufd, uint32_t *devid)
{
	struct vfio_device_bind_iommufd args = {
		.argsz = sizeof(args),
		.iommufd = iommufd,
	};
	int ret = call(fd, VFIO_DEVICE_BIND_IOMMUFD, &args);

	*devid = args.out_devid;
	return ret;
}

int device_attach(int fd, uint32_t *pt_id)
{
	struct vfio_device_attach_iommufd_pt args = {
		.argsz = sizeof(args),
		.pt_id = *pt_id,
	};
	int ret = call(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &args);

	*pt_id = args.pt_id;
	return ret;
}

int device_detach(int fd)
{
	struct vfio_device_detach_iommufd_pt args = { .argsz = sizeof(args) };

	return call(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &args);
}

int device_reset(int fd)
{
	return call(fd, VFIO_DEVICE_RESET, NULL);
}

int device_can_reset(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int ret = call(fd, VFIO_DEVICE_GET_INFO, &info);

	return ret ?: !!(info.flags & VFIO_DEVICE_FLAGS_RESET);
}

void device_bar(int fd, struct vfio_region_info *region)
{
	*region = (struct vfio_region_info){ .argsz = sizeof(*region) };
	for (; region->index < 6; region->index++) {
		if (call(fd, VFIO_DEVICE_GET_REGION_INFO, region))
			die("GET_REGION_INFO failed");
		if (region->flags & VFIO_REGION_INFO_FLAG_MMAP &&
		    region->size >= (uint64_t)getpagesize())
			return;
	}
	die("the device has no BAR that can be mapped");
}

int device_export_bar(int fd, uint32_t index)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} args = {
		.feature.argsz = sizeof(args),
		.feature.flags = VFIO_DEVICE_FEATURE_GET |
				 VFIO_DEVICE_FEATURE_DMA_BUF,
		.dma_buf.region_index = index,
		.dma_buf.open_flags = O_RDWR | O_CLOEXEC,
		.dma_buf.nr_ranges = 1,
		.range.length = getpagesize(),
	};

	return call(fd, VFIO_DEVICE_FEATURE, &args);
}

void device_command(int fd, uint16_t set, uint16_t clear)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command;

	if (call(fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(fd, &command, 2, config.offset + PCI_COMMAND) != 2)
		die("cannot read the command register");
	command = (command | set) & ~clear;
	if (pwrite(fd, &command, 2, config.offset + PCI_COMMAND) != 2)
		die("cannot write the command register");
}

enum {
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_DESTINATION = 0x88,
	EDU_DMA_LENGTH = 0x90,
	EDU_DMA_COMMAND = 0x98,
	EDU_DMA_RUN = 1,
	EDU_DMA_TO_MEMORY = 2,
	EDU_BUFFER = 0x40000,
};

static volatile uint64_t *edu_register(void *regs, unsigned int offset)
{
	return (uint64_t *)((char *)regs + offset);
}

void edu_start_dma(void *regs, uint64_t phys, uint64_t length)
{
	*edu_register(regs, EDU_DMA_SOURCE) = EDU_BUFFER;
	*edu_register(regs, EDU_DMA_DESTINATION) = phys;
	*edu_register(regs, EDU_DMA_LENGTH) = length;
	*edu_register(regs, EDU_DMA_COMMAND) = EDU_DMA_RUN | EDU_DMA_TO_MEMORY;
}

bool edu_is_busy(void *regs)
{
	return *edu_register(regs, EDU_DMA_COMMAND) & EDU_DMA_RUN;
}

int ioas_alloc(int iommufd, uint32_t *ioas_id)
{
	struct iommu_ioas_alloc args = { .size = sizeof(args) };
	int ret = call(iommufd, IOMMU_IOAS_ALLOC, &args);

	*ioas_id = args.out_ioas_id;
	return ret;
}

int ioas_map(int iommufd, uint32_t ioas_id, void *va, uint64_t length,
	     uint64_t *iova, uint32_t flags)
{
	struct iommu_ioas_map args = {
		.size = sizeof(args),
		.flags = flags,
		.ioas_id = ioas_id,
		.user_va = (uintptr_t)va,
		.length = length,
		.iova = *iova,
	};
	int ret = call(iommufd, IOMMU_IOAS_MAP, &args);

	*iova = args.iova;
	return ret;
}

int ioas_map_file(int iommufd, uint32_t ioas_id, int fd, uint64_t start,
		  uint64_t length, uint64_t *iova, uint32_t flags)
{
	struct iommu_ioas_map_file args = {
		.size = sizeof(args),
		.flags = flags,
		.ioas_id = ioas_id,
		.fd = fd,
		.start = start,
		.length = length,
		.iova = *iova,
	};
	int ret = call(iommufd, IOMMU_IOAS_MAP_FILE, &args);

	*iova = args.iova;
	return ret;
}

int ioas_copy(int iommufd, uint32_t dst_ioas, uint64_t *dst_iova,
	      uint32_t src_ioas, uint64_t src_iova, uint64_t length,
	      uint32_t flags)
{
	struct iommu_ioas_copy args = {
		.size = sizeof(args),
		.flags = flags,
		.dst_ioas_id = dst_ioas,
		.src_ioas_id = src_ioas,
		.length = length,
		.dst_iova = *dst_iova,
		.src_iova = src_iova,
	};
	int ret = call(iommufd, IOMMU_IOAS_COPY, &args);

	*dst_iova = args.dst_iova;
	return ret;
}

int ioas_unmap(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length)
{
	struct iommu_ioas_unmap args = {
		.size = sizeof(args),
		.ioas_id = ioas_id,
		.iova = iova,
		.length = *length,
	};
	int ret = call(iommufd, IOMMU_IOAS_UNMAP, &args);

	*length = args.length;
	return ret;
}

int hwpt_alloc(int iommufd, uint32_t dev_id, uint32_t pt_id, uint32_t *hwpt_id)
{
	struct iommu_hwpt_alloc args = {
		.size = sizeof(args),
		.dev_id = dev_id,
		.pt_id = pt_id,
	};
	int ret = call(iommufd, IOMMU_HWPT_ALLOC, &args);

	*hwpt_id = args.out_hwpt_id;
	return ret;
}

int destroy(int iommufd, uint32_t id)
{
	struct iommu_destroy args = { .size = sizeof(args), .id = id };

	return call(iommufd, IOMMU_DESTROY, &args);
}

int get_pa(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length,
	   uint64_t *phys)
{
	struct iommu_ioas_noiommu_get_pa args = {
		.size = offsetof(struct iommu_ioas_noiommu_get_pa, extents_uptr),
		.ioas_id = ioas_id,
		.iova = iova,
		.length = *length,
	};
	int ret = call(iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, &args);

	*length = args.length;
	*phys = args.out_phys;
	return ret;
}

int get_pa_array(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length,
		 struct iommu_noiommu_extent *extents, uint32_t max)
{
	struct iommu_ioas_noiommu_get_pa args = {
		.size = sizeof(args),
		.ioas_id = ioas_id,
		.iova = iova,
		.length = *length,
		.extents_uptr = (uintptr_t)extents,
		.num_extents = max,
	};
	int ret = call(iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, &args);

	*length = args.length;
	return ret ?: (int)args.num_extents;
}

const char *errno_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";

	return name ?: "unknown";
}

int try_write_file(const char *path, const char *text)
{
	int fd = open_file(path, O_WRONLY);
	int ret = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void write_file(const char *path, const char *format, ...)
{
	char text[256];
	va_list args;
	int ret;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ret = try_write_file(path, text);
	if (ret)
		die("cannot write '%s' to %s: %s", text, path, strerror(-ret));
}

uint64_t read_counter(const char *path, const char *name)
{
	size_t length = strlen(name);
	uint64_t value = UINT64_MAX;
	char line[256];
	FILE *file;

	file = fopen(path, "re");
	if (!file)
		die("cannot open %s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && strchr(": \t", line[length]))
			value = strtoull(line + length + 1, NULL, 0);
	fclose(file);
	if (value == UINT64_MAX)
		die("there is no %s in %s", name, path);
	return value;
}

struct usage usage_now(void)
{
	struct usage usage;
	int fd = open_file("/proc/sys/vm/stat_refresh", O_RDONLY);
	char c;

	/* Fold the per-CPU counters into /proc/vmstat */
	if (fd < 0 || read(fd, &c, 1) < 0)
		die("cannot read /proc/sys/vm/stat_refresh");
	close(fd);
	usage.pins = read_counter("/proc/vmstat", "nr_foll_pin_acquired") -
		     read_counter("/proc/vmstat", "nr_foll_pin_released");
	usage.table_pages = read_counter("/proc/vmstat", "nr_iommu_pages");
	usage.vm_pin = read_counter("/proc/self/status", "VmPin") /
		       (getpagesize() / 1024);
	return usage;
}

bool usage_becomes(struct usage want)
{
	time_t end = time(NULL) + 20;
	struct usage now;

	do {
		now = usage_now();
		if (now.pins == want.pins && now.vm_pin == want.vm_pin &&
		    now.table_pages == want.table_pages)
			return true;
		sched_yield();
	} while (time(NULL) < end);
	printf("# expected: %ld pins, %ld pages charged, %ld table pages\n",
	       want.pins, want.vm_pin, want.table_pages);
	printf("# found:    %ld pins, %ld pages charged, %ld table pages\n",
	       now.pins, now.vm_pin, now.table_pages);
	return false;
}

int user_open(struct user *user, const char *node)
{
	uint32_t id;
	int ret;

	user->iommufd = open_file("/dev/iommu", O_RDWR);
	if (user->iommufd < 0)
		return user->iommufd;
	user->fd = open_file(node, O_RDWR);
	if (user->fd < 0) {
		close(user->iommufd);
		return user->fd;
	}
	ret = device_bind(user->fd, user->iommufd, &user->devid);
	if (!ret)
		ret = ioas_alloc(user->iommufd, &user->ioas_id);
	id = user->ioas_id;
	if (!ret)
		ret = device_attach(user->fd, &id);
	if (ret)
		user_close(user);
	return ret;
}

void user_close(struct user *user)
{
	close(user->fd);
	close(user->iommufd);
}

void *map_memory(uint64_t size, int flags)
{
	void *va = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_ANONYMOUS | flags, -1, 0);

	if (va == MAP_FAILED)
		die("cannot map %lu bytes of memory: %s", size, strerror(errno));
	return va;
}

void *shared_memory(uint64_t size)
{
	return map_memory(size, MAP_SHARED);
}

pid_t fork_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork failed: %s", strerror(errno));
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

bool succeeds(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid failed: %s", strerror(errno));
	if (status)
		printf("# process %d: wait status %#x\n", pid, status);
	return !status;
}

bool kill_and_wait(pid_t pid)
{
	int status;

	if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid)
		die("cannot kill process %d: %s", pid, strerror(errno));
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

uint64_t number_of(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end || end == text)
		die("'%s' is not a number", text);
	return value;
}

uint64_t pagemap_phys(void *va)
{
	const uint64_t page = getpagesize();
	int fd = open_file("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry),
			    (uintptr_t)va / page * sizeof(entry)) != sizeof(entry))
		die("cannot read /proc/self/pagemap");
	close(fd);
	if (!(entry >> 63))
		die("%p is not present", va);
	return (entry & ((1ULL << 55) - 1)) * page + (uintptr_t)va % page;
}

void set_capability(unsigned int cap, bool on)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data))
		die("capget failed: %s", strerror(errno));
	if (on)
		data[CAP_TO_INDEX(cap)].effective |= CAP_TO_MASK(cap);
	else
		data[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
	if (syscall(SYS_capset, &hdr, data))
		die("capset failed: %s", strerror(errno));
}
