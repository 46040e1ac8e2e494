/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * noiommu - DMA from user space without an IOMMU, through the VFIO cdev and iommufd
 *
 * A driver calls, in this order:
 *
 *   noiommu_open()          open iommufd and allocate an IOAS
 *   noiommu_device_open()   open the device's cdev, bind and attach it
 *   noiommu_map()           map and pin memory, read its physical extents
 *   noiommu_translate()     return the PA and contiguous length at an address
 *   noiommu_bus_master()    enable DMA
 *   ...
 *   noiommu_device_close()  stop DMA, close the device
 *   noiommu_unmap(), noiommu_close()
 *
 * Physical addresses are valid while the memory is mapped and a noiommu device
 * is attached. Nothing prevents a device from accessing unpinned memory: stop
 * its DMA before noiommu_unmap(), as noiommu_device_close() does.
 *
 * Errors: functions return 0 or a negative errno unless documented otherwise.
 * They store the cause and the remedy in the error field of struct noiommu, as
 * one line. The errnos below are those with a special meaning; others are passed
 * on from the system call.
 *
 * Context: functions may sleep. The caller serializes calls on one struct noiommu,
 * its devices and its mappings. Only noiommu_translate() may run in any number of
 * threads, between noiommu_map() and noiommu_unmap().
 *
 * Ownership: the caller allocates every struct and frees it after the matching
 * close or unmap. A device keeps a pointer to its struct noiommu. Other pointer
 * arguments are not kept after the call, unless documented otherwise.
 */
#ifndef NOIOMMU_H
#define NOIOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include <linux/iommufd.h>

/*
 * The struct of IOMMU_IOAS_NOIOMMU_GET_PA, under a name of its own: the headers
 * of some kernels lack the ioctl, or the array. The layout never changes.
 */
struct noiommu_get_pa_extent {
	__aligned_u64 phys;
	__aligned_u64 length;
};

struct noiommu_get_pa {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 out_phys;
	__aligned_u64 extents_uptr;
	__u32 num_extents;
	__u32 __reserved2;
};

#ifndef IOMMU_IOAS_NOIOMMU_GET_PA
#define IOMMU_IOAS_NOIOMMU_GET_PA _IO(IOMMUFD_TYPE, 0x95)
#endif

#define NOIOMMU_NUM_BARS 6

/* An iommufd with one IOAS, shared by devices and memory */
struct noiommu {
	int fd;
	uint32_t ioas_id;
	bool one_extent_per_call;	/* the kernel has no array form of GET_PA */
	char error[512];
};

/* A PCI device that is bound to the iommufd and attached to the IOAS */
struct noiommu_device {
	struct noiommu *iommu;
	int fd;
	char bdf[16];		/* PCI address, 0000:00:04.0 */
	char node[32];		/* noiommu-vfio0 */
	uint32_t dev_id;	/* iommufd object of the device */
	uint32_t hwpt_id;	/* iommufd object of the page table */
	bool can_reset;
	bool uses_intx;
	uint64_t config_offset;
	struct {
		void *addr;
		size_t size;
	} bars[NOIOMMU_NUM_BARS];
};

/* Bytes from iova on that are contiguous in physical memory */
struct noiommu_extent {
	uint64_t iova;
	uint64_t pa;
	uint64_t length;
};

/* Mapped memory. The IOVA of a byte is its user address. */
struct noiommu_mem {
	void *addr;
	size_t length;
	struct noiommu_extent *extents;	/* sorted by iova */
	size_t nr_extents;
};

/**
 * noiommu_open() - Open /dev/iommu and allocate an IOAS
 * @iommu: Filled in; its error text is valid on failure, too
 *
 * Return: 0 or
 * -ENOENT, -ENODEV: the kernel has no iommufd
 * -EACCES, -EPERM: no permission to open /dev/iommu
 */
int noiommu_open(struct noiommu *iommu);

/**
 * noiommu_close() - Free the IOAS and close /dev/iommu
 * @iommu: Its devices are closed and its memory is unmapped
 */
void noiommu_close(struct noiommu *iommu);

/**
 * noiommu_probe() - Check that this process can read physical addresses
 * @iommu: Open context; no device is needed
 *
 * Return: 0 or
 * -ENOTTY: the kernel has no IOMMU_IOAS_NOIOMMU_GET_PA
 * -EPERM: no CAP_SYS_RAWIO in the initial user namespace
 */
int noiommu_probe(struct noiommu *iommu);

/**
 * noiommu_error() - Store an error text, for drivers that use this library
 * @iommu: Holds the text; need not be open
 * @err: Positive errno
 * @fmt: Cause and remedy in one line, without a newline
 *
 * Return: -@err
 */
int noiommu_error(struct noiommu *iommu, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * noiommu_find_node() - Find the noiommu cdev of a device
 * @iommu: Holds the error text; need not be open
 * @bdf: PCI address, 0000:00:04.0 or 00:04.0
 * @dev: bdf and node are filled in
 *
 * Return: 0 or
 * -EINVAL: @bdf is not a PCI address
 * -ENODEV: there is no such device, or it has no driver
 * -EBUSY: the device is bound to a driver other than VFIO
 * -EPERM: enable_unsafe_noiommu_mode is off
 * -EOPNOTSUPP: the device is behind an IOMMU, or the kernel lacks an option
 */
int noiommu_find_node(struct noiommu *iommu, const char *bdf,
		      struct noiommu_device *dev);

/**
 * noiommu_pci_class() - Read the class code of a PCI device
 * @iommu: Holds the error text; need not be open
 * @bdf: PCI address
 * @class_code: 24 bits: base class, sub-class, programming interface
 *
 * Return: 0 or
 * -EINVAL: @bdf is not a PCI address
 * -ENODEV: there is no such device
 * -EIO: sysfs cannot be read
 */
int noiommu_pci_class(struct noiommu *iommu, const char *bdf,
		      uint32_t *class_code);

/**
 * noiommu_device_open() - Open a device, bind it and attach it to the IOAS
 * @iommu: Open context; must outlive @dev
 * @bdf: PCI address
 * @dev: Filled in; owns the fd until noiommu_device_close()
 *
 * The kernel resets the device if it supports reset. DMA is disabled. Requires
 * CAP_SYS_RAWIO and access to the node.
 *
 * Return: 0, an errno of noiommu_find_node(), or
 * -ENOENT: the node is in sysfs but not in /dev
 * -EACCES: no permission to open the node
 * -EPERM: no CAP_SYS_RAWIO
 * -EBUSY: another process uses the device
 */
int noiommu_device_open(struct noiommu *iommu, const char *bdf,
			struct noiommu_device *dev);

/**
 * noiommu_device_close() - Disable DMA, reset and close the device
 * @dev: Open device; its BARs are unmapped
 *
 * Closing the last device invalidates all physical addresses. The error text is
 * not changed.
 */
void noiommu_device_close(struct noiommu_device *dev);

/**
 * noiommu_map_bar() - Map a BAR into the process
 * @dev: Open device
 * @index: 0 to 5
 * @addr: Start of the BAR; owned by @dev, unmapped by noiommu_device_close()
 * @size: Bytes
 *
 * Return: 0 or
 * -EINVAL: @index is above 5
 * -EOPNOTSUPP: the BAR does not exist or cannot be mapped
 */
int noiommu_map_bar(struct noiommu_device *dev, unsigned int index,
		    void **addr, size_t *size);

/**
 * noiommu_config_read() - Read PCI configuration space
 * @dev: Open device
 * @offset: Byte offset of the register
 * @value: Destination
 * @size: 1, 2 or 4 bytes
 *
 * Return: 0, or -EIO if the read failed
 */
int noiommu_config_read(struct noiommu_device *dev, unsigned int offset,
			void *value, size_t size);

/**
 * noiommu_config_write() - Write PCI configuration space
 * @dev: Open device
 * @offset: Byte offset of the register
 * @value: Source
 * @size: 1, 2 or 4 bytes
 *
 * Return: 0, or -EIO if the write failed
 */
int noiommu_config_write(struct noiommu_device *dev, unsigned int offset,
			 const void *value, size_t size);

/**
 * noiommu_bus_master() - Enable or disable DMA
 * @dev: Open device
 * @enable: New value of the Bus Master Enable bit. If set, INTx is disabled unless
 *	noiommu_irq_open() has enabled it: nothing else would clear it
 *
 * Return: 0, or -EIO if the configuration space cannot be accessed
 */
int noiommu_bus_master(struct noiommu_device *dev, bool enable);

/**
 * noiommu_device_reset() - Reset the device
 * @dev: Open device
 *
 * Return: 0, or -EOPNOTSUPP if the device does not support reset
 */
int noiommu_device_reset(struct noiommu_device *dev);

/**
 * noiommu_irq_open() - Enable the first interrupt of a kind
 * @dev: Open device
 * @index: VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX or
 *	VFIO_PCI_MSIX_IRQ_INDEX
 *
 * The caller closes the eventfd after noiommu_device_close().
 *
 * Return: an eventfd that counts interrupts, or
 * -EOPNOTSUPP: the device has no interrupt of this kind
 */
int noiommu_irq_open(struct noiommu_device *dev, unsigned int index);

/**
 * noiommu_irq_wait() - Wait for an interrupt
 * @dev: Open device
 * @eventfd: Of noiommu_irq_open()
 * @timeout_ms: -1 waits without a limit
 *
 * INTx, which is masked when it occurs, is unmasked. The device must have deasserted
 * it, or it occurs again.
 *
 * Return: 0, also after a signal or the timeout, or -EIO
 */
int noiommu_irq_wait(struct noiommu_device *dev, int eventfd, int timeout_ms);

/**
 * noiommu_map() - Map and pin memory, and read its physical extents
 * @iommu: Open context with at least one device attached
 * @addr: Memory of the caller, aligned to the page size; keep until noiommu_unmap()
 * @length: Bytes, a multiple of the page size
 * @mem: Filled in; owns the extents until noiommu_unmap(). Empty on failure.
 *
 * The pages do not move until noiommu_unmap(); mlock() is not needed. They count
 * against RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK. Reading the
 * addresses requires CAP_SYS_RAWIO.
 *
 * Return: 0 or
 * -EINVAL: @addr or @length is not aligned, or @length is 0
 * -ENOMEM: out of memory, or above RLIMIT_MEMLOCK
 * -EEXIST: part of the range is already mapped
 * -EOPNOTSUPP: no noiommu device is attached
 * -ENOTTY: the kernel has no IOMMU_IOAS_NOIOMMU_GET_PA
 * -EPERM: no CAP_SYS_RAWIO in the initial user namespace
 * -EIO: the kernel returned an extent of an impossible length
 */
int noiommu_map(struct noiommu *iommu, void *addr, size_t length,
		struct noiommu_mem *mem);

/**
 * noiommu_unmap() - Unpin memory
 * @iommu: Open context
 * @mem: Mapping without DMA in progress, or empty after a failed noiommu_map().
 *       Its extents are freed, also on failure.
 *
 * Return: 0 or -errno of IOMMU_IOAS_UNMAP
 */
int noiommu_unmap(struct noiommu *iommu, struct noiommu_mem *mem);

/**
 * noiommu_translate() - Return the physical address of mapped memory
 * @mem: Mapping; only read
 * @addr: First byte, any alignment
 * @length: Upper bound in bytes, not 0
 * @pa: Physical address of the byte at @addr
 *
 * To translate a buffer, call again at @addr + the returned length until it is
 * exhausted.
 *
 * Return: contiguous bytes from @pa on, at most @length; or -EFAULT if @addr is
 * not in @mem. The error text is not set.
 */
ssize_t noiommu_translate(const struct noiommu_mem *mem, const void *addr,
			  size_t length, uint64_t *pa);

#endif /* NOIOMMU_H */
