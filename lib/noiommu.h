/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * noiommu - DMA from user space without an IOMMU, by the VFIO cdev and iommufd
 *
 * A driver calls, in this order:
 *
 *   noiommu_open()          open iommufd and allocate an IOAS
 *   noiommu_device_open()   open the device's cdev, bind and attach it
 *   noiommu_map()           map and pin memory, read its physical extents
 *   noiommu_translate()     turn (address, length) into (PA, length) pieces
 *   noiommu_bus_master()    let the device do DMA
 *   ...
 *   noiommu_device_close()  stop DMA, close the device
 *   noiommu_unmap(), noiommu_close()
 *
 * Physical addresses are valid while the memory is mapped and a noiommu device
 * is attached. Nothing but the driver keeps a device away from memory that was
 * given back: stop its DMA (noiommu_device_close() does) before noiommu_unmap()
 * and before the close of the last device.
 *
 * Errors: functions return 0 or a negative errno unless they say otherwise, and
 * leave one line with the cause and the remedy in the error field of their
 * struct noiommu.
 *
 * Threads: calls on one struct noiommu, its devices and its mappings must not
 * run at the same time. noiommu_translate() only reads its mapping; any number
 * of threads may call it between noiommu_map() and noiommu_unmap().
 */
#ifndef NOIOMMU_H
#define NOIOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include <linux/iommufd.h>

/* For the headers of kernels without the ioctl; this layout never changes */
#ifndef IOMMU_IOAS_NOIOMMU_GET_PA
struct iommu_noiommu_extent {
	__aligned_u64 phys;
	__aligned_u64 length;
};

struct iommu_ioas_noiommu_get_pa {
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
 * @iommu: Filled in; its error text is valid also when this fails
 */
int noiommu_open(struct noiommu *iommu);

/**
 * noiommu_close() - Give the IOAS back
 * @iommu: All of its devices are closed and its memory is unmapped
 */
void noiommu_close(struct noiommu *iommu);

/**
 * noiommu_probe() - Check that this kernel and user can read physical addresses
 * @iommu: Open context; no device is needed
 */
int noiommu_probe(struct noiommu *iommu);

/**
 * noiommu_error() - Record what went wrong, for drivers on this library
 * @iommu: Where to leave the text
 * @err: Positive errno
 * @fmt: Cause and remedy in one line, without a newline
 *
 * Return: -@err
 */
int noiommu_error(struct noiommu *iommu, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * noiommu_find_node() - Find a device's noiommu cdev, or say why it has none
 * @iommu: For the error text; need not be open
 * @bdf: PCI address, 0000:00:04.0 or 00:04.0
 * @dev: bdf and node are filled in
 */
int noiommu_find_node(struct noiommu *iommu, const char *bdf,
		      struct noiommu_device *dev);

/**
 * noiommu_pci_class() - Read a PCI device's class code
 * @iommu: For the error text; need not be open
 * @bdf: PCI address
 * @class_code: 24 bits: base class, sub-class, programming interface
 */
int noiommu_pci_class(struct noiommu *iommu, const char *bdf,
		      uint32_t *class_code);

/**
 * noiommu_device_open() - Open a device, bind it and attach it to the IOAS
 * @iommu: Open context
 * @bdf: PCI address
 * @dev: Filled in
 *
 * The device comes up reset, where it can be, and with DMA disabled. Needs
 * CAP_SYS_RAWIO and access to the node.
 */
int noiommu_device_open(struct noiommu *iommu, const char *bdf,
			struct noiommu_device *dev);

/**
 * noiommu_device_close() - Stop the device's DMA, reset and close it
 * @dev: Open device
 *
 * The close of the last device makes all physical addresses invalid. Leaves the
 * error text as it is.
 */
void noiommu_device_close(struct noiommu_device *dev);

/**
 * noiommu_map_bar() - Map a BAR into the process
 * @dev: Open device
 * @index: 0 to 5
 * @addr: Address of the BAR; unmapped by noiommu_device_close()
 * @size: Bytes
 */
int noiommu_map_bar(struct noiommu_device *dev, unsigned int index,
		    void **addr, size_t *size);

/**
 * noiommu_config_read() - Read PCI configuration space
 * @dev: Open device
 * @offset: Byte offset of the register
 * @value: Destination
 * @size: 1, 2 or 4
 */
int noiommu_config_read(struct noiommu_device *dev, unsigned int offset,
			void *value, size_t size);

/**
 * noiommu_config_write() - Write PCI configuration space
 * @dev: Open device
 * @offset: Byte offset of the register
 * @value: Source
 * @size: 1, 2 or 4
 */
int noiommu_config_write(struct noiommu_device *dev, unsigned int offset,
			 const void *value, size_t size);

/**
 * noiommu_bus_master() - Allow or forbid the device to do DMA
 * @dev: Open device
 * @enable: Allow
 */
int noiommu_bus_master(struct noiommu_device *dev, bool enable);

/**
 * noiommu_device_reset() - Reset the device
 * @dev: Open device
 *
 * Return: 0, -EOPNOTSUPP if the device has no reset of its own, -errno
 */
int noiommu_device_reset(struct noiommu_device *dev);

/**
 * noiommu_map() - Map and pin memory, and read its physical extents
 * @iommu: Open context with at least one device attached
 * @addr: Any memory of the process, multiple of the page size
 * @length: Bytes, multiple of the page size
 * @mem: Filled in
 *
 * The pages stay where they are until noiommu_unmap(); mlock() is not needed.
 * They count against RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK.
 * Reading the addresses needs CAP_SYS_RAWIO.
 */
int noiommu_map(struct noiommu *iommu, void *addr, size_t length,
		struct noiommu_mem *mem);

/**
 * noiommu_unmap() - Unpin memory
 * @iommu: Open context
 * @mem: Mapping that no device does DMA to any more; one whose noiommu_map()
 *       failed is fine
 */
int noiommu_unmap(struct noiommu *iommu, struct noiommu_mem *mem);

/**
 * noiommu_translate() - Physical address of a piece of mapped memory
 * @mem: Mapping
 * @addr: First byte, no alignment needed
 * @length: Upper bound in bytes, not 0
 * @pa: Physical address of the byte at @addr
 *
 * To translate a buffer, call again at @addr + the returned length until all
 * of it is done.
 *
 * Return: bytes, at most @length, that are contiguous from @pa on; -EFAULT if
 * @addr is not in @mem. Leaves no error text.
 */
ssize_t noiommu_translate(const struct noiommu_mem *mem, const void *addr,
			  size_t length, uint64_t *pa);

#endif /* NOIOMMU_H */
