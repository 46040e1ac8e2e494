// SPDX-License-Identifier: GPL-2.0-only
/* DMA from user space without an IOMMU, see noiommu.h */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "noiommu.h"

#define SYSFS_PCI "/sys/bus/pci/devices"
#define SYSFS_PARAMETER "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

int noiommu_error(struct noiommu *iommu, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(iommu->error, sizeof(iommu->error), fmt, args);
	va_end(args);
	return -err;
}

int noiommu_open(struct noiommu *iommu)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret;

	*iommu = (struct noiommu){ .fd = -1 };
	iommu->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommu->fd < 0) {
		if (errno == ENOENT || errno == ENODEV)
			return noiommu_error(iommu, errno,
				"no /dev/iommu: the kernel needs CONFIG_IOMMUFD (modprobe iommufd if it is a module)");
		if (errno == EACCES || errno == EPERM)
			return noiommu_error(iommu, errno,
				"no permission to open /dev/iommu: run as root or give this user access to it");
		return noiommu_error(iommu, errno, "cannot open /dev/iommu: %s",
				     strerror(errno));
	}

	if (ioctl(iommu->fd, IOMMU_IOAS_ALLOC, &alloc)) {
		ret = noiommu_error(iommu, errno, "cannot allocate an IOAS: %s",
				    strerror(errno));
		noiommu_close(iommu);
		return ret;
	}
	iommu->ioas_id = alloc.out_ioas_id;
	return 0;
}

void noiommu_close(struct noiommu *iommu)
{
	if (iommu->fd >= 0)
		close(iommu->fd);
	iommu->fd = -1;
}

static int explain_get_pa(struct noiommu *iommu, int err, uint64_t iova)
{
	switch (err) {
	case ENOTTY:
		return noiommu_error(iommu, err,
			"this kernel has no IOMMU_IOAS_NOIOMMU_GET_PA: it needs CONFIG_IOMMUFD_NOIOMMU");
	case EPERM:
		return noiommu_error(iommu, err,
			"not allowed to read physical addresses: CAP_SYS_RAWIO in the initial user namespace is needed");
	case EOPNOTSUPP:
		return noiommu_error(iommu, err,
			"no physical addresses without a noiommu device in the IOAS: open one before mapping memory");
	default:
		return noiommu_error(iommu, err,
			"no physical address for %#llx: %s",
			(unsigned long long)iova, strerror(err));
	}
}

int noiommu_probe(struct noiommu *iommu)
{
	/* ID 0 is never valid, and the kernel checks it last */
	struct noiommu_get_pa get = {
		.size = sizeof(get),
		.length = 1,
	};

	if (ioctl(iommu->fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get) && errno != ENOENT)
		return explain_get_pa(iommu, errno, 0);
	return 0;
}

/* Write the full form of a PCI address and check that the device exists */
static int pci_address(struct noiommu *iommu, const char *arg, char bdf[16])
{
	unsigned int domain = 0, bus, slot, function;
	char path[PATH_MAX];
	int end = -1;

	sscanf(arg, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end);
	if (end < 0 || arg[end]) {
		domain = 0;
		end = -1;
		sscanf(arg, "%2x:%2x.%1x%n", &bus, &slot, &function, &end);
	}
	if (end < 0 || arg[end] || slot > 0x1f || function > 7)
		return noiommu_error(iommu, EINVAL,
			"'%s' is not a PCI address: write it as in 0000:00:04.0", arg);

	snprintf(bdf, 16, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff,
		 slot, function);
	snprintf(path, sizeof(path), SYSFS_PCI "/%s", bdf);
	if (access(path, F_OK))
		return noiommu_error(iommu, ENODEV,
			"no PCI device at %s: see " SYSFS_PCI, bdf);
	return 0;
}

static bool sysfs_exists(const char *bdf, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), SYSFS_PCI "/%s/%s", bdf, name);
	return access(path, F_OK) == 0;
}

/* Name of the bound driver, empty if there is none */
static void driver_name(const char *bdf, char *name, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	name[0] = '\0';
	snprintf(path, sizeof(path), SYSFS_PCI "/%s/driver", bdf);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return;
	target[len] = '\0';
	snprintf(name, size, "%.*s", (int)size - 1, basename(target));
}

/* enable_unsafe_noiommu_mode: 'Y', 'N', or 0 if the kernel does not have it */
static int noiommu_parameter(void)
{
	FILE *file = fopen(SYSFS_PARAMETER, "re");
	int state;

	if (!file)
		return 0;
	state = fgetc(file);
	fclose(file);
	return state;
}

static int explain_no_node(struct noiommu *iommu, const char *bdf)
{
	char driver[64];

	driver_name(bdf, driver, sizeof(driver));
	if (sysfs_exists(bdf, "iommu"))
		return noiommu_error(iommu, EOPNOTSUPP,
			"%s is behind an IOMMU: use its vfioN node, noiommu mode does not apply",
			bdf);
	if (driver[0] && !sysfs_exists(bdf, "vfio-dev"))
		return noiommu_error(iommu, EBUSY,
			"%s is bound to driver %s: echo %s > /sys/bus/pci/drivers/%s/unbind, then bind it to vfio-pci",
			bdf, driver, bdf, driver);
	if (driver[0])
		return noiommu_error(iommu, EOPNOTSUPP,
			"%s is bound to %s but has no noiommu-vfioN node: the kernel has no noiommu mode for the VFIO cdev (CONFIG_VFIO_DEVICE_CDEV and CONFIG_IOMMUFD_NOIOMMU)",
			bdf, driver);

	switch (noiommu_parameter()) {
	case 'Y':
		return noiommu_error(iommu, ENODEV,
			"%s has no driver: echo vfio-pci > " SYSFS_PCI "/%s/driver_override, then echo %s > /sys/bus/pci/drivers_probe",
			bdf, bdf, bdf);
	case 'N':
		return noiommu_error(iommu, EPERM,
			"noiommu mode is off: echo Y > " SYSFS_PARAMETER ", then bind %s to vfio-pci",
			bdf);
	default:
		return noiommu_error(iommu, EOPNOTSUPP,
			"no " SYSFS_PARAMETER ": the kernel needs CONFIG_VFIO_NOIOMMU and CONFIG_VFIO_PCI (modprobe vfio-pci if it is a module)");
	}
}

int noiommu_find_node(struct noiommu *iommu, const char *bdf,
		      struct noiommu_device *dev)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int ret;

	ret = pci_address(iommu, bdf, dev->bdf);
	if (ret)
		return ret;

	dev->node[0] = '\0';
	snprintf(path, sizeof(path), SYSFS_PCI "/%s/vfio-dev", dev->bdf);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "noiommu-vfio", 12))
			snprintf(dev->node, sizeof(dev->node), "%.31s",
				 entry->d_name);
	}
	if (dir)
		closedir(dir);

	return dev->node[0] ? 0 : explain_no_node(iommu, dev->bdf);
}

int noiommu_pci_class(struct noiommu *iommu, const char *bdf,
		      uint32_t *class_code)
{
	char path[PATH_MAX], full[16];
	FILE *file;
	int ret;

	ret = pci_address(iommu, bdf, full);
	if (ret)
		return ret;

	snprintf(path, sizeof(path), SYSFS_PCI "/%s/class", full);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%x", class_code) != 1)
		ret = noiommu_error(iommu, EIO, "cannot read %s", path);
	if (file)
		fclose(file);
	return ret;
}

static int open_node(struct noiommu *iommu, struct noiommu_device *dev)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", dev->node);
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd >= 0)
		return 0;

	switch (errno) {
	case ENOENT:
		return noiommu_error(iommu, ENOENT,
			"no %s although sysfs has it: mount devtmpfs, or pass the node to this container",
			path);
	case EPERM:
		return noiommu_error(iommu, EPERM,
			"not allowed to open %s: CAP_SYS_RAWIO is needed (run as root or setcap cap_sys_rawio+ep)",
			path);
	case EACCES:
		return noiommu_error(iommu, EACCES,
			"no permission to open %s: run as root or give this user access to it",
			path);
	default:
		return noiommu_error(iommu, errno, "cannot open %s: %s", path,
				     strerror(errno));
	}
}

static int bind_iommufd(struct noiommu *iommu, struct noiommu_device *dev)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommu->fd,
	};

	if (!ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		dev->dev_id = bind.out_devid;
		return 0;
	}

	switch (errno) {
	case EBUSY: /* opened by the group */
	case EINVAL: /* bound by the cdev */
		return noiommu_error(iommu, EBUSY,
			"%s (%s) is in use by another process: end that process first",
			dev->bdf, dev->node);
	case EPERM:
		return noiommu_error(iommu, EPERM,
			"not allowed to bind %s: CAP_SYS_RAWIO is needed (run as root or setcap cap_sys_rawio+ep)",
			dev->node);
	default:
		return noiommu_error(iommu, errno,
			"cannot bind %s to the iommufd: %s", dev->node,
			strerror(errno));
	}
}

static int attach_ioas(struct noiommu *iommu, struct noiommu_device *dev)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = iommu->ioas_id,
	};

	if (ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return noiommu_error(iommu, errno,
			"cannot attach %s to the IOAS: %s", dev->node,
			strerror(errno));
	dev->hwpt_id = attach.pt_id;
	return 0;
}

static int read_device_info(struct noiommu *iommu, struct noiommu_device *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};

	if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info) ||
	    ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &config))
		return noiommu_error(iommu, errno,
			"cannot read the VFIO description of %s: %s", dev->bdf,
			strerror(errno));
	dev->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	dev->config_offset = config.offset;
	return 0;
}

int noiommu_device_open(struct noiommu *iommu, const char *bdf,
			struct noiommu_device *dev)
{
	int ret;

	*dev = (struct noiommu_device){ .iommu = iommu, .fd = -1 };
	ret = noiommu_find_node(iommu, bdf, dev);
	if (ret)
		return ret;
	ret = open_node(iommu, dev);
	if (ret)
		return ret;
	ret = bind_iommufd(iommu, dev);
	if (!ret)
		ret = attach_ioas(iommu, dev);
	if (!ret)
		ret = read_device_info(iommu, dev);
	if (ret) {
		close(dev->fd);
		dev->fd = -1;
	}
	return ret;
}

void noiommu_device_close(struct noiommu_device *dev)
{
	char error[sizeof(dev->iommu->error)];
	unsigned int i;

	/* Keep the first error, not one of the cleanup */
	memcpy(error, dev->iommu->error, sizeof(error));
	noiommu_bus_master(dev, false);
	noiommu_device_reset(dev);
	memcpy(dev->iommu->error, error, sizeof(error));

	for (i = 0; i < NOIOMMU_NUM_BARS; i++) {
		if (dev->bars[i].addr)
			munmap(dev->bars[i].addr, dev->bars[i].size);
	}
	close(dev->fd);
	dev->fd = -1;
}

int noiommu_map_bar(struct noiommu_device *dev, unsigned int index,
		    void **addr, size_t *size)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX + index,
	};

	if (index >= NOIOMMU_NUM_BARS)
		return noiommu_error(dev->iommu, EINVAL, "no BAR %u", index);

	if (!dev->bars[index].addr) {
		if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
			return noiommu_error(dev->iommu, errno,
				"cannot read the description of BAR %u of %s: %s",
				index, dev->bdf, strerror(errno));
		if (!bar.size || !(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
			return noiommu_error(dev->iommu, EOPNOTSUPP,
				"BAR %u of %s cannot be mapped: if it is smaller than a page, boot with pci=resource_alignment=%s",
				index, dev->bdf, dev->bdf);
		*addr = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     dev->fd, bar.offset);
		if (*addr == MAP_FAILED)
			return noiommu_error(dev->iommu, errno,
				"cannot map BAR %u of %s: %s", index, dev->bdf,
				strerror(errno));
		dev->bars[index].addr = *addr;
		dev->bars[index].size = bar.size;
	}
	*addr = dev->bars[index].addr;
	*size = dev->bars[index].size;
	return 0;
}

int noiommu_config_read(struct noiommu_device *dev, unsigned int offset,
			void *value, size_t size)
{
	if (pread(dev->fd, value, size, dev->config_offset + offset) !=
	    (ssize_t)size)
		return noiommu_error(dev->iommu, EIO,
			"cannot read %s's configuration space at %#x", dev->bdf,
			offset);
	return 0;
}

int noiommu_config_write(struct noiommu_device *dev, unsigned int offset,
			 const void *value, size_t size)
{
	if (pwrite(dev->fd, value, size, dev->config_offset + offset) !=
	    (ssize_t)size)
		return noiommu_error(dev->iommu, EIO,
			"cannot write %s's configuration space at %#x",
			dev->bdf, offset);
	return 0;
}

int noiommu_bus_master(struct noiommu_device *dev, bool enable)
{
	uint16_t command;
	int ret;

	ret = noiommu_config_read(dev, PCI_COMMAND, &command, sizeof(command));
	if (ret)
		return ret;
	if (enable)
		command |= PCI_COMMAND_MASTER;
	else
		command &= ~PCI_COMMAND_MASTER;
	/* If nothing handles INTx, it would interrupt forever on a shared line */
	if (enable && !dev->uses_intx)
		command |= PCI_COMMAND_INTX_DISABLE;
	return noiommu_config_write(dev, PCI_COMMAND, &command, sizeof(command));
}

int noiommu_device_reset(struct noiommu_device *dev)
{
	if (!dev->can_reset)
		return noiommu_error(dev->iommu, EOPNOTSUPP,
			"%s does not support reset", dev->bdf);
	if (ioctl(dev->fd, VFIO_DEVICE_RESET))
		return noiommu_error(dev->iommu, errno, "cannot reset %s: %s",
				     dev->bdf, strerror(errno));
	return 0;
}

int noiommu_irq_open(struct noiommu_device *dev, unsigned int index)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} args = {
		.set.argsz = sizeof(args),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = index,
		.set.count = 1,
	};
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int ret;

	if (ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) || !info.count)
		return noiommu_error(dev->iommu, EOPNOTSUPP,
			"%s has no interrupt of this kind", dev->bdf);
	args.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (args.fd < 0)
		return noiommu_error(dev->iommu, errno,
			"cannot create an eventfd: %s", strerror(errno));
	if (ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &args)) {
		ret = noiommu_error(dev->iommu, errno,
			"cannot enable an interrupt of %s: %s", dev->bdf,
			strerror(errno));
		close(args.fd);
		return ret;
	}
	dev->uses_intx = index == VFIO_PCI_INTX_IRQ_INDEX;
	return args.fd;
}

int noiommu_irq_wait(struct noiommu_device *dev, int eventfd, int timeout_ms)
{
	struct pollfd pollfd = { .fd = eventfd, .events = POLLIN };
	struct vfio_irq_set unmask = {
		.argsz = sizeof(unmask),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = VFIO_PCI_INTX_IRQ_INDEX,
		.count = 1,
	};
	uint64_t count;

	if (poll(&pollfd, 1, timeout_ms) <= 0)
		return 0;
	if (read(eventfd, &count, sizeof(count)) != sizeof(count) ||
	    (dev->uses_intx && ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &unmask)))
		return noiommu_error(dev->iommu, EIO,
			"cannot handle an interrupt of %s: %s", dev->bdf,
			strerror(errno));
	return 0;
}

/* Array size of one GET_PA call */
#define EXTENTS_PER_CALL 1024

/*
 * Read the extents from @iova on: up to EXTENTS_PER_CALL, or one on kernels
 * without the array form. Returns their number or -errno.
 */
static int get_extents(struct noiommu *iommu, uint64_t iova, uint64_t length,
		       struct noiommu_get_pa_extent *extents)
{
	struct noiommu_get_pa get = {
		.size = sizeof(get),
		.ioas_id = iommu->ioas_id,
		.iova = iova,
		.length = length,
	};

	if (!iommu->one_extent_per_call) {
		get.extents_uptr = (uintptr_t)extents;
		get.num_extents = EXTENTS_PER_CALL;
		if (!ioctl(iommu->fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
			return get.num_extents;
		if (errno != E2BIG)
			return explain_get_pa(iommu, errno, iova);
		iommu->one_extent_per_call = true;
		get.extents_uptr = 0;
		get.num_extents = 0;
	}
	if (ioctl(iommu->fd, IOMMU_IOAS_NOIOMMU_GET_PA, &get))
		return explain_get_pa(iommu, errno, iova);
	extents[0].phys = get.out_phys;
	extents[0].length = get.length;
	return 1;
}

static int read_extents(struct noiommu *iommu, struct noiommu_mem *mem)
{
	uint64_t iova = (uintptr_t)mem->addr, left = mem->length;
	struct noiommu_get_pa_extent found[EXTENTS_PER_CALL];
	struct noiommu_extent *grown;
	int nr, i;

	while (left) {
		nr = get_extents(iommu, iova, left, found);
		if (nr < 0)
			return nr;

		grown = realloc(mem->extents,
				(mem->nr_extents + nr) * sizeof(*grown));
		if (!grown)
			return noiommu_error(iommu, ENOMEM, "out of memory");
		mem->extents = grown;

		for (i = 0; i < nr; i++) {
			if (!found[i].length || found[i].length > left)
				return noiommu_error(iommu, EIO,
					"GET_PA returned %llu of %llu bytes",
					(unsigned long long)found[i].length,
					(unsigned long long)left);
			mem->extents[mem->nr_extents++] = (struct noiommu_extent){
				.iova = iova,
				.pa = found[i].phys,
				.length = found[i].length,
			};
			iova += found[i].length;
			left -= found[i].length;
		}
	}
	return 0;
}

static int explain_map(struct noiommu *iommu, int err, size_t length)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (err == ENOMEM && limit.rlim_cur != RLIM_INFINITY)
		return noiommu_error(iommu, err,
			"cannot pin %zu bytes: out of memory, or above RLIMIT_MEMLOCK (%llu bytes): raise it (ulimit -l, in KiB) or grant CAP_IPC_LOCK",
			length, (unsigned long long)limit.rlim_cur);
	if (err == EEXIST)
		return noiommu_error(iommu, err,
			"cannot map %zu bytes: part of the range is already mapped",
			length);
	return noiommu_error(iommu, err, "cannot map %zu bytes: %s", length,
			     strerror(err));
}

/* Does not change the error text */
static int unmap_range(struct noiommu *iommu, struct noiommu_mem *mem)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = iommu->ioas_id,
		.iova = (uintptr_t)mem->addr,
		.length = mem->length,
	};
	int ret = ioctl(iommu->fd, IOMMU_IOAS_UNMAP, &unmap) ? -errno : 0;

	free(mem->extents);
	*mem = (struct noiommu_mem){};
	return ret;
}

int noiommu_map(struct noiommu *iommu, void *addr, size_t length,
		struct noiommu_mem *mem)
{
	size_t page_mask = sysconf(_SC_PAGESIZE) - 1;
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = iommu->ioas_id,
		.user_va = (uintptr_t)addr,
		.length = length,
		.iova = (uintptr_t)addr,
	};
	int ret;

	*mem = (struct noiommu_mem){};
	if (!length || ((uintptr_t)addr | length) & page_mask)
		return noiommu_error(iommu, EINVAL,
			"cannot map %zu bytes at %p: both must be multiples of the page size",
			length, addr);
	if (ioctl(iommu->fd, IOMMU_IOAS_MAP, &map))
		return explain_map(iommu, errno, length);

	mem->addr = addr;
	mem->length = length;
	ret = read_extents(iommu, mem);
	if (ret)
		unmap_range(iommu, mem);
	return ret;
}

int noiommu_unmap(struct noiommu *iommu, struct noiommu_mem *mem)
{
	int ret;

	if (!mem->length)
		return 0;
	ret = unmap_range(iommu, mem);
	if (ret)
		return noiommu_error(iommu, -ret, "cannot unmap memory: %s",
				     strerror(-ret));
	return 0;
}

ssize_t noiommu_translate(const struct noiommu_mem *mem, const void *addr,
			  size_t length, uint64_t *pa)
{
	uint64_t iova = (uintptr_t)addr, left;
	size_t low = 0, high = mem->nr_extents;
	const struct noiommu_extent *extent;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		extent = &mem->extents[middle];
		if (iova < extent->iova) {
			high = middle;
		} else if (iova - extent->iova >= extent->length) {
			low = middle + 1;
		} else {
			*pa = extent->pa + (iova - extent->iova);
			left = extent->length - (iova - extent->iova);
			return left < length ? left : length;
		}
	}
	return -EFAULT;
}
