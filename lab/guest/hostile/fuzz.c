// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz - wrong arguments for each ioctl of iommufd and of the cdev of a noiommu device
 *
 * A table has valid arguments for each ioctl, and changes that make them invalid,
 * each with its errno. First each change is made alone. Then the program picks
 * changes and values at random. A call with several changes must fail with one of
 * their errnos; GET_PA must fail with the one that its documentation lists first.
 * No call may change anything, which is checked from time to time.
 *
 * MAP, MAP_FILE, COPY and UNMAP fail with EFAULT if they cannot write their result,
 * but have taken effect. So they get no struct that is read-only.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/pci_regs.h>

#include "common.h"

/* What the calls see; set up once */
static struct device device, other_device, group_device;
static int iommufd, device_fd, unbound_fd, group_fd = -1, cdev_of_group_fd;
static int memory_fd, null_fd, bar_fd, fault_fd, closed_fd = 1000;
static uint32_t devid, ioas_id, plain_ioas_id, misaligned_ioas_id, hwpt_id;
static uint32_t fault_id;
static uint64_t page_size, buffer_va, read_only_va, unmapped_va, bar_va;
static uint64_t extents_va;

/* IOVAs of ioas_id: two areas of memory with a hole behind, and a dma-buf */
enum {
	AREA_IOVA = 0x100000,
	AREA_PAGES = 4,
	FREE_IOVA = 0x200000,
	BAR_IOVA = 0x400000,
};

/* MOCK_FLAGS_ACCESS_SYZ, with which CONFIG_IOMMUFD_TEST changes src_iova */
enum { FLAG_OF_IOMMUFD_TEST = 1 << 16 };

enum how {
	FIXED,		/* the value */
	VARIABLE,	/* the variable that "value" points to */
	BITS,		/* any of these bits, but not none of them */
	FROM,		/* the value or a larger one */
	SMALL_SIZE,	/* of the struct */
	LARGE_SIZE,	/* with something in the part that is too much */
	STRUCT_READ_ONLY,
	NO_CAPABILITY,
};

struct change {
	enum how how;
	uint16_t offset;
	uint16_t width;
	int error;
	uint64_t value;
};

#define FIELD(_type, _field) \
	offsetof(struct _type, _field), sizeof(((struct _type *)0)->_field)
#define SET(_type, _field, _value, _error) \
	{ FIXED, FIELD(_type, _field), _error, _value }
#define VAR(_type, _field, _variable, _error) \
	{ VARIABLE, FIELD(_type, _field), _error, (uintptr_t)&(_variable) }
#define ANY(_type, _field, _bits, _error) \
	{ BITS, FIELD(_type, _field), _error, _bits }
#define MIN(_type, _field, _value, _error) \
	{ FROM, FIELD(_type, _field), _error, _value }

enum { MAX_CHANGES = 32 };

struct spec {
	const char *name;
	unsigned long cmd;
	int *fd;
	unsigned int size, min_size;
	/* Changes are in the order of the checks, and the first one decides */
	bool ordered;
	/* The size is checked, but bytes behind the struct are ignored */
	bool any_size;
	/* The errno of arguments without a change; 0: valid arguments */
	int error;
	/* An errno of several changes that none of them has alone */
	int also;
	void (*fill)(void *args, size_t size);
	struct change changes[MAX_CHANGES];
};

#define IOMMUFD_AS(_name, _cmd, _type, _last) \
	.name = _name, .cmd = _cmd, .fd = &iommufd, \
	.size = sizeof(struct _type), \
	.min_size = offsetof(struct _type, _last) + sizeof(((struct _type *)0)->_last)
#define IOMMUFD(_cmd, _type, _last) IOMMUFD_AS(#_cmd, _cmd, _type, _last)
#define VFIO_AS(_name, _fd, _cmd, _type, _last) \
	.name = _name, .cmd = _cmd, .fd = &_fd, .any_size = true, \
	.size = offsetof(struct _type, _last) + sizeof(((struct _type *)0)->_last), \
	.min_size = offsetof(struct _type, _last) + sizeof(((struct _type *)0)->_last)

#define VFIO(_cmd, _type, _last) VFIO_AS(#_cmd, device_fd, _cmd, _type, _last)

static void fill_nothing(void *args, size_t size)
{
	(void)args;
	(void)size;
}

#define FILL(_name, _type, ...)						\
	static void fill_##_name(void *args, size_t size)		\
	{								\
		const struct _type valid = { __VA_ARGS__ };		\
									\
		memcpy(args, &valid,					\
		       size < sizeof(valid) ? size : sizeof(valid));	\
	}

FILL(destroy, iommu_destroy, .id = ioas_id)
FILL(allow, iommu_ioas_allow_iovas, .ioas_id = ioas_id, .num_iovas = 2,
     .allowed_iovas = extents_va)
FILL(copy, iommu_ioas_copy, .flags = MAP_AT, .dst_ioas_id = ioas_id,
     .src_ioas_id = ioas_id, .length = page_size, .dst_iova = FREE_IOVA,
     .src_iova = AREA_IOVA)
FILL(ranges, iommu_ioas_iova_ranges, .ioas_id = ioas_id, .num_iovas = 2,
     .allowed_iovas = extents_va)
FILL(map, iommu_ioas_map, .flags = MAP_AT, .ioas_id = ioas_id,
     .user_va = buffer_va, .length = page_size, .iova = FREE_IOVA)
FILL(map_file, iommu_ioas_map_file, .flags = MAP_AT, .ioas_id = ioas_id,
     .fd = memory_fd, .length = page_size, .iova = FREE_IOVA)
FILL(unmap, iommu_ioas_unmap, .ioas_id = ioas_id, .iova = AREA_IOVA,
     .length = AREA_PAGES * page_size)
FILL(option, iommu_option, .option_id = IOMMU_OPTION_HUGE_PAGES,
     .op = IOMMU_OPTION_OP_SET, .object_id = ioas_id, .val64 = 1)
FILL(rlimit, iommu_option, .option_id = IOMMU_OPTION_RLIMIT_MODE,
     .op = IOMMU_OPTION_OP_SET)
FILL(vfio_ioas, iommu_vfio_ioas, .op = IOMMU_VFIO_IOAS_SET, .ioas_id = NO_ID)
FILL(hwpt, iommu_hwpt_alloc, .dev_id = devid, .pt_id = ioas_id)
FILL(hw_info, iommu_hw_info, .dev_id = devid)
FILL(set_dirty, iommu_hwpt_set_dirty_tracking, .hwpt_id = hwpt_id)
FILL(get_dirty, iommu_hwpt_get_dirty_bitmap, .hwpt_id = hwpt_id,
     .iova = AREA_IOVA, .length = page_size, .page_size = page_size,
     .data = extents_va)
FILL(invalidate, iommu_hwpt_invalidate, .hwpt_id = hwpt_id)
FILL(viommu, iommu_viommu_alloc, .type = 1, .dev_id = devid, .hwpt_id = hwpt_id)
FILL(vdevice, iommu_vdevice_alloc, .viommu_id = devid, .dev_id = devid)
FILL(veventq, iommu_veventq_alloc, .viommu_id = devid, .type = 1,
     .veventq_depth = 1)
FILL(hw_queue, iommu_hw_queue_alloc, .viommu_id = devid, .type = 1, .length = 1)
FILL(get_pa, iommu_ioas_noiommu_get_pa, .ioas_id = ioas_id, .iova = AREA_IOVA,
     .length = UINT64_MAX)
FILL(array, iommu_ioas_noiommu_get_pa, .ioas_id = ioas_id, .iova = AREA_IOVA,
     .length = UINT64_MAX, .extents_uptr = extents_va, .num_extents = 8)
FILL(bind, vfio_device_bind_iommufd, .iommufd = iommufd)
FILL(attach, vfio_device_attach_iommufd_pt, .pt_id = hwpt_id)
FILL(detach, vfio_device_detach_iommufd_pt, .flags = 0)
FILL(irqs, vfio_irq_set, .flags = VFIO_IRQ_SET_DATA_NONE |
     VFIO_IRQ_SET_ACTION_TRIGGER, .count = 1)
FILL(hot_reset_info, vfio_pci_hot_reset_info, .flags = 0)
FILL(ioeventfd, vfio_device_ioeventfd, .flags = VFIO_DEVICE_IOEVENTFD_32,
     .fd = -1)
FILL(feature, vfio_device_feature, .flags = VFIO_DEVICE_FEATURE_GET |
     VFIO_DEVICE_FEATURE_MIGRATION)
FILL(map_dma, vfio_iommu_type1_dma_map, .flags = VFIO_DMA_MAP_FLAG_READ,
     .vaddr = buffer_va, .iova = FREE_IOVA, .size = page_size)
FILL(unmap_dma, vfio_iommu_type1_dma_unmap, .iova = FREE_IOVA, .size = page_size)

#define GET_PA_CHANGES							\
	{ SMALL_SIZE, 0, 4, EINVAL, 0 },				\
	{ LARGE_SIZE, 0, 4, E2BIG, 0 },					\
	{ NO_CAPABILITY, 0, 0, EPERM, 0 },				\
	ANY(iommu_ioas_noiommu_get_pa, flags, UINT32_MAX, EOPNOTSUPP),	\
	ANY(iommu_ioas_noiommu_get_pa, __reserved, UINT32_MAX, EOPNOTSUPP), \
	ANY(iommu_ioas_noiommu_get_pa, __reserved2, UINT32_MAX, EOPNOTSUPP), \
	SET(iommu_ioas_noiommu_get_pa, length, 0, EINVAL)
#define GET_PA_CHANGES_2						\
	SET(iommu_ioas_noiommu_get_pa, iova, UINT64_MAX, EOVERFLOW),	\
	SET(iommu_ioas_noiommu_get_pa, ioas_id, 0, ENOENT),		\
	MIN(iommu_ioas_noiommu_get_pa, ioas_id, NO_ID, ENOENT),	\
	VAR(iommu_ioas_noiommu_get_pa, ioas_id, devid, ENOENT),	\
	VAR(iommu_ioas_noiommu_get_pa, ioas_id, hwpt_id, ENOENT),	\
	VAR(iommu_ioas_noiommu_get_pa, ioas_id, fault_id, ENOENT),	\
	VAR(iommu_ioas_noiommu_get_pa, ioas_id, plain_ioas_id, EOPNOTSUPP), \
	SET(iommu_ioas_noiommu_get_pa, iova, AREA_IOVA - 1, ENOENT),	\
	SET(iommu_ioas_noiommu_get_pa, iova, AREA_IOVA + AREA_PAGES * 4096, ENOENT), \
	SET(iommu_ioas_noiommu_get_pa, iova, UINT64_MAX - 1, ENOENT),	\
	SET(iommu_ioas_noiommu_get_pa, iova, BAR_IOVA, EINVAL)

static struct spec specs[] = {
	{ IOMMUFD(IOMMU_DESTROY, iommu_destroy, id),
	  .fill = fill_destroy, .error = EBUSY, .changes = {
		VAR(iommu_destroy, id, hwpt_id, EBUSY),
		VAR(iommu_destroy, id, devid, EBUSY),
		SET(iommu_destroy, id, 0, ENOENT),
		MIN(iommu_destroy, id, NO_ID, ENOENT) } },
	{ IOMMUFD(IOMMU_IOAS_ALLOC, iommu_ioas_alloc, out_ioas_id),
	  .fill = fill_nothing, .changes = {
		ANY(iommu_ioas_alloc, flags, UINT32_MAX, EOPNOTSUPP) } },
	{ IOMMUFD(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas, allowed_iovas),
	  /* Two equal ranges overlap */
	  .fill = fill_allow, .error = EINVAL, .changes = {
		ANY(iommu_ioas_allow_iovas, __reserved, UINT32_MAX, EOPNOTSUPP),
		MIN(iommu_ioas_allow_iovas, ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_allow_iovas, ioas_id, devid, ENOENT),
		VAR(iommu_ioas_allow_iovas, allowed_iovas, unmapped_va, EFAULT) } },
	{ IOMMUFD(IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges,
		  out_iova_alignment),
	  .fill = fill_ranges, .changes = {
		ANY(iommu_ioas_iova_ranges, __reserved, UINT32_MAX, EOPNOTSUPP),
		MIN(iommu_ioas_iova_ranges, ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_iova_ranges, ioas_id, hwpt_id, ENOENT),
		SET(iommu_ioas_iova_ranges, num_iovas, 0, EMSGSIZE),
		VAR(iommu_ioas_iova_ranges, allowed_iovas, unmapped_va, EFAULT),
		VAR(iommu_ioas_iova_ranges, allowed_iovas, read_only_va, EFAULT),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ IOMMUFD(IOMMU_IOAS_COPY, iommu_ioas_copy, src_iova),
	  .fill = fill_copy, .changes = {
		ANY(iommu_ioas_copy, flags, ~(uint32_t)(MAP_AT | FLAG_OF_IOMMUFD_TEST),
		    EOPNOTSUPP),
		SET(iommu_ioas_copy, flags, IOMMU_IOAS_MAP_FIXED_IOVA, EINVAL),
		SET(iommu_ioas_copy, length, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_copy, src_iova, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_copy, dst_iova, UINT64_MAX, EOVERFLOW),
		MIN(iommu_ioas_copy, src_ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_copy, src_ioas_id, hwpt_id, ENOENT),
		MIN(iommu_ioas_copy, dst_ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_copy, dst_ioas_id, devid, ENOENT),
		SET(iommu_ioas_copy, length, 0, EINVAL),
		SET(iommu_ioas_copy, length, AREA_PAGES * 4096 + 1, ENOENT),
		SET(iommu_ioas_copy, length, UINT64_MAX - 1, EOVERFLOW),
		SET(iommu_ioas_copy, src_iova, AREA_IOVA - 1, ENOENT),
		SET(iommu_ioas_copy, src_iova, FREE_IOVA, ENOENT),
		SET(iommu_ioas_copy, dst_iova, FREE_IOVA + 1, EINVAL),
		SET(iommu_ioas_copy, dst_iova, AREA_IOVA, EEXIST),
		SET(iommu_ioas_copy, length, 5, EINVAL) } },
	{ IOMMUFD(IOMMU_IOAS_MAP, iommu_ioas_map, iova),
	  .fill = fill_map, .changes = {
		ANY(iommu_ioas_map, flags, ~(uint32_t)MAP_AT, EOPNOTSUPP),
		ANY(iommu_ioas_map, __reserved, UINT32_MAX, EOPNOTSUPP),
		SET(iommu_ioas_map, flags, IOMMU_IOAS_MAP_FIXED_IOVA, EINVAL),
		SET(iommu_ioas_map, iova, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_map, length, UINT64_MAX, EOVERFLOW),
		MIN(iommu_ioas_map, ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_map, ioas_id, devid, ENOENT),
		SET(iommu_ioas_map, length, 0, EINVAL),
		SET(iommu_ioas_map, length, 5, EINVAL),
		SET(iommu_ioas_map, iova, FREE_IOVA + 1, EINVAL),
		SET(iommu_ioas_map, iova, AREA_IOVA, EEXIST),
		VAR(iommu_ioas_map, user_va, unmapped_va, EFAULT),
		VAR(iommu_ioas_map, user_va, read_only_va, EFAULT),
		VAR(iommu_ioas_map, user_va, bar_va, EFAULT),
		SET(iommu_ioas_map, user_va, UINT64_MAX - 4095, EOVERFLOW) } },
	{ IOMMUFD(IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file, iova),
	  .fill = fill_map_file, .changes = {
		ANY(iommu_ioas_map_file, flags, ~(uint32_t)MAP_AT, EOPNOTSUPP),
		SET(iommu_ioas_map_file, flags, IOMMU_IOAS_MAP_FIXED_IOVA, EINVAL),
		SET(iommu_ioas_map_file, iova, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_map_file, length, UINT64_MAX, EOVERFLOW),
		MIN(iommu_ioas_map_file, ioas_id, NO_ID, ENOENT),
		SET(iommu_ioas_map_file, length, 0, EINVAL),
		SET(iommu_ioas_map_file, start, UINT64_MAX - 1, EOVERFLOW),
		SET(iommu_ioas_map_file, fd, UINT32_MAX, EBADF),
		VAR(iommu_ioas_map_file, fd, closed_fd, EBADF),
		VAR(iommu_ioas_map_file, fd, null_fd, EINVAL),
		VAR(iommu_ioas_map_file, fd, iommufd, EINVAL),
		SET(iommu_ioas_map_file, length, 5, EINVAL),
		SET(iommu_ioas_map_file, length, BAR_IOVA - FREE_IOVA, EINVAL),
		SET(iommu_ioas_map_file, iova, FREE_IOVA + 1, EINVAL),
		SET(iommu_ioas_map_file, iova, AREA_IOVA, EEXIST) } },
	{ IOMMUFD(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, length),
	  .fill = fill_unmap, .changes = {
		MIN(iommu_ioas_unmap, ioas_id, NO_ID, ENOENT),
		VAR(iommu_ioas_unmap, ioas_id, fault_id, ENOENT),
		SET(iommu_ioas_unmap, iova, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_unmap, length, UINT64_MAX, EOVERFLOW),
		SET(iommu_ioas_unmap, length, UINT64_MAX - 1, EOVERFLOW),
		SET(iommu_ioas_unmap, length, 0, EINVAL),
		SET(iommu_ioas_unmap, iova, FREE_IOVA, ENOENT),
		SET(iommu_ioas_unmap, iova, AREA_IOVA + 1, ENOENT),
		SET(iommu_ioas_unmap, length, AREA_PAGES * 4096 - 1, ENOENT) } },
	{ IOMMUFD(IOMMU_OPTION, iommu_option, val64),
	  .fill = fill_option, .changes = {
		ANY(iommu_option, __reserved, UINT16_MAX, EOPNOTSUPP),
		MIN(iommu_option, option_id, 2, EOPNOTSUPP),
		MIN(iommu_option, op, 2, EOPNOTSUPP),
		MIN(iommu_option, object_id, NO_ID, ENOENT),
		VAR(iommu_option, object_id, hwpt_id, ENOENT),
		MIN(iommu_option, val64, 2, EINVAL),
		/* Not while there are mappings */
		SET(iommu_option, val64, 0, EINVAL),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ IOMMUFD_AS("IOMMU_OPTION (RLIMIT_MODE)", IOMMU_OPTION, iommu_option,
		     val64),
	  /* Not while there are objects */
	  .fill = fill_rlimit, .error = EBUSY, .changes = {
		ANY(iommu_option, __reserved, UINT16_MAX, EOPNOTSUPP),
		MIN(iommu_option, object_id, 1, EOPNOTSUPP),
		MIN(iommu_option, op, 2, EOPNOTSUPP) } },
	{ IOMMUFD(IOMMU_VFIO_IOAS, iommu_vfio_ioas, __reserved),
	  .fill = fill_vfio_ioas, .error = ENOENT, .changes = {
		ANY(iommu_vfio_ioas, __reserved, UINT16_MAX, EOPNOTSUPP),
		MIN(iommu_vfio_ioas, op, 3, EOPNOTSUPP),
		SET(iommu_vfio_ioas, op, IOMMU_VFIO_IOAS_GET, ENODEV) } },
	{ IOMMUFD(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, __reserved),
	  .fill = fill_hwpt, .also = EOPNOTSUPP, .changes = {
		ANY(iommu_hwpt_alloc, flags, UINT32_MAX, EOPNOTSUPP),
		ANY(iommu_hwpt_alloc, __reserved, UINT32_MAX, EOPNOTSUPP),
		MIN(iommu_hwpt_alloc, dev_id, NO_ID, ENOENT),
		VAR(iommu_hwpt_alloc, dev_id, ioas_id, ENOENT),
		MIN(iommu_hwpt_alloc, pt_id, NO_ID, EINVAL),
		VAR(iommu_hwpt_alloc, pt_id, devid, EINVAL),
		VAR(iommu_hwpt_alloc, pt_id, hwpt_id, EOPNOTSUPP),
		MIN(iommu_hwpt_alloc, data_type, 1, EINVAL),
		MIN(iommu_hwpt_alloc, data_len, 1, EINVAL),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ IOMMUFD(IOMMU_GET_HW_INFO, iommu_hw_info, __reserved),
	  .fill = fill_hw_info, .error = EOPNOTSUPP, .changes = {
		ANY(iommu_hw_info, flags, ~(uint32_t)1, EOPNOTSUPP),
		MIN(iommu_hw_info, dev_id, NO_ID, ENOENT),
		VAR(iommu_hw_info, dev_id, ioas_id, ENOENT) } },
	{ IOMMUFD(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking,
		  __reserved),
	  .fill = fill_set_dirty, .error = EOPNOTSUPP, .changes = {
		ANY(iommu_hwpt_set_dirty_tracking, flags, ~(uint32_t)1,
		    EOPNOTSUPP),
		MIN(iommu_hwpt_set_dirty_tracking, hwpt_id, NO_ID, ENOENT),
		VAR(iommu_hwpt_set_dirty_tracking, hwpt_id, ioas_id, ENOENT) } },
	{ IOMMUFD(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap, data),
	  .fill = fill_get_dirty, .error = EOPNOTSUPP, .changes = {
		ANY(iommu_hwpt_get_dirty_bitmap, flags, ~(uint32_t)1, EOPNOTSUPP),
		ANY(iommu_hwpt_get_dirty_bitmap, __reserved, UINT32_MAX,
		    EOPNOTSUPP),
		MIN(iommu_hwpt_get_dirty_bitmap, hwpt_id, NO_ID, ENOENT),
		SET(iommu_hwpt_get_dirty_bitmap, page_size, 0, EINVAL),
		SET(iommu_hwpt_get_dirty_bitmap, iova, 1, EINVAL),
		SET(iommu_hwpt_get_dirty_bitmap, length, UINT64_MAX - 4095,
		    EOVERFLOW) } },
	{ IOMMUFD(IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate, __reserved),
	  .fill = fill_invalidate, .error = EINVAL, .changes = {
		ANY(iommu_hwpt_invalidate, __reserved, UINT32_MAX, EOPNOTSUPP),
		MIN(iommu_hwpt_invalidate, hwpt_id, NO_ID, ENOENT),
		MIN(iommu_hwpt_invalidate, entry_num, 1, EINVAL),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ IOMMUFD(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc, out_fault_fd),
	  .fill = fill_nothing, .changes = {
		ANY(iommu_fault_alloc, flags, UINT32_MAX, EOPNOTSUPP) } },
	{ IOMMUFD(IOMMU_VIOMMU_ALLOC, iommu_viommu_alloc, out_viommu_id),
	  .fill = fill_viommu, .error = EOPNOTSUPP, .changes = {
		ANY(iommu_viommu_alloc, flags, UINT32_MAX, EOPNOTSUPP),
		SET(iommu_viommu_alloc, type, 0, EOPNOTSUPP),
		MIN(iommu_viommu_alloc, dev_id, NO_ID, ENOENT) } },
	{ IOMMUFD(IOMMU_VDEVICE_ALLOC, iommu_vdevice_alloc, virt_id),
	  .fill = fill_vdevice, .error = ENOENT, .changes = {
		MIN(iommu_vdevice_alloc, viommu_id, NO_ID, ENOENT),
		VAR(iommu_vdevice_alloc, viommu_id, hwpt_id, ENOENT) } },
	{ IOMMUFD(IOMMU_VEVENTQ_ALLOC, iommu_veventq_alloc, out_veventq_fd),
	  .fill = fill_veventq, .error = ENOENT, .changes = {
		ANY(iommu_veventq_alloc, flags, UINT32_MAX, EOPNOTSUPP),
		SET(iommu_veventq_alloc, type, 0, EOPNOTSUPP),
		ANY(iommu_veventq_alloc, __reserved, UINT32_MAX, EOPNOTSUPP),
		SET(iommu_veventq_alloc, veventq_depth, 0, EINVAL) } },
	{ IOMMUFD(IOMMU_HW_QUEUE_ALLOC, iommu_hw_queue_alloc, length),
	  .fill = fill_hw_queue, .error = ENOENT, .changes = {
		ANY(iommu_hw_queue_alloc, flags, UINT32_MAX, EOPNOTSUPP),
		SET(iommu_hw_queue_alloc, type, 0, EOPNOTSUPP),
		SET(iommu_hw_queue_alloc, length, 0, EINVAL),
		SET(iommu_hw_queue_alloc, nesting_parent_iova, UINT64_MAX, ENOENT) } },
	{ IOMMUFD(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process, __reserved),
	  /* There are mappings of memory that is not of a file */
	  .fill = fill_nothing, .error = EINVAL, .changes = {
		ANY(iommu_ioas_change_process, __reserved, UINT32_MAX,
		    EOPNOTSUPP) } },
	{ IOMMUFD(IOMMU_IOAS_NOIOMMU_GET_PA, iommu_ioas_noiommu_get_pa, out_phys),
	  .fill = fill_get_pa, .ordered = true, .changes = {
		GET_PA_CHANGES,
		MIN(iommu_ioas_noiommu_get_pa, extents_uptr, 1, EINVAL),
		MIN(iommu_ioas_noiommu_get_pa, num_extents, 1, EFAULT),
		GET_PA_CHANGES_2,
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ IOMMUFD_AS("IOMMU_IOAS_NOIOMMU_GET_PA (array)", IOMMU_IOAS_NOIOMMU_GET_PA,
		     iommu_ioas_noiommu_get_pa, out_phys),
	  .fill = fill_array, .ordered = true, .changes = {
		GET_PA_CHANGES,
		SET(iommu_ioas_noiommu_get_pa, num_extents, 0, EINVAL),
		SET(iommu_ioas_noiommu_get_pa, extents_uptr, 0, EFAULT),
		GET_PA_CHANGES_2,
		VAR(iommu_ioas_noiommu_get_pa, extents_uptr, unmapped_va, EFAULT),
		VAR(iommu_ioas_noiommu_get_pa, extents_uptr, read_only_va, EFAULT),
		/* Of a BAR that is disabled */
		VAR(iommu_ioas_noiommu_get_pa, extents_uptr, bar_va, EFAULT),
		SET(iommu_ioas_noiommu_get_pa, extents_uptr, UINT64_MAX - 15, EFAULT),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ .name = "an unknown ioctl of iommufd", .cmd = _IO(IOMMUFD_TYPE, 0x9e),
	  .fd = &iommufd, .size = 8, .min_size = 8, .any_size = true,
	  .fill = fill_nothing, .error = ENOTTY },
	{ .name = "GET_PA with a size in its number",
	  .cmd = _IOWR(IOMMUFD_TYPE, 0x95, struct iommu_ioas_noiommu_get_pa),
	  .fd = &iommufd, .size = 64, .min_size = 1, .any_size = true,
	  .fill = fill_get_pa, .error = ENOTTY },
	{ VFIO_AS("VFIO_IOMMU_MAP_DMA", iommufd, VFIO_IOMMU_MAP_DMA,
		  vfio_iommu_type1_dma_map, size),
	  .fill = fill_map_dma, .error = ENODEV, .changes = {
		SET(vfio_iommu_type1_dma_map, flags, 0, EINVAL),
		ANY(vfio_iommu_type1_dma_map, flags, ~(uint32_t)7, EINVAL) } },
	{ VFIO_AS("VFIO_IOMMU_UNMAP_DMA", iommufd, VFIO_IOMMU_UNMAP_DMA,
		  vfio_iommu_type1_dma_unmap, size),
	  .fill = fill_unmap_dma, .error = ENODEV, .changes = {
		ANY(vfio_iommu_type1_dma_unmap, flags, ~(uint32_t)7, EINVAL) } },
	{ VFIO_AS("VFIO_DEVICE_BIND_IOMMUFD (bound)", device_fd,
		  VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd, out_devid),
	  .fill = fill_bind, .error = EINVAL, .changes = {
		{ NO_CAPABILITY, 0, 0, EPERM, 0 } } },
	{ VFIO_AS("VFIO_DEVICE_BIND_IOMMUFD", unbound_fd,
		  VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd, out_devid),
	  .fill = fill_bind, .changes = {
		{ NO_CAPABILITY, 0, 0, EPERM, 0 },
		ANY(vfio_device_bind_iommufd, flags, ~(uint32_t)1, EINVAL),
		MIN(vfio_device_bind_iommufd, iommufd, 1U << 31, EINVAL),
		VAR(vfio_device_bind_iommufd, iommufd, closed_fd, EBADF),
		VAR(vfio_device_bind_iommufd, iommufd, null_fd, EBADFD),
		VAR(vfio_device_bind_iommufd, iommufd, unbound_fd, EBADFD),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ VFIO_AS("VFIO_DEVICE_BIND_IOMMUFD (group is open)", cdev_of_group_fd,
		  VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd, out_devid),
	  .fill = fill_bind, .error = EBUSY, .changes = {
		{ NO_CAPABILITY, 0, 0, EPERM, 0 } } },
	{ VFIO(VFIO_DEVICE_ATTACH_IOMMUFD_PT, vfio_device_attach_iommufd_pt, pt_id),
	  .fill = fill_attach, .changes = {
		ANY(vfio_device_attach_iommufd_pt, flags, ~(uint32_t)1, EINVAL),
		SET(vfio_device_attach_iommufd_pt, flags, 1, EOPNOTSUPP),
		SET(vfio_device_attach_iommufd_pt, pt_id, 0, ENOENT),
		MIN(vfio_device_attach_iommufd_pt, pt_id, NO_ID, ENOENT),
		VAR(vfio_device_attach_iommufd_pt, pt_id, devid, EINVAL),
		VAR(vfio_device_attach_iommufd_pt, pt_id, fault_id, EINVAL),
		VAR(vfio_device_attach_iommufd_pt, pt_id, misaligned_ioas_id,
		    EADDRINUSE) } },
	{ VFIO(VFIO_DEVICE_DETACH_IOMMUFD_PT, vfio_device_detach_iommufd_pt, flags),
	  .fill = fill_detach, .changes = {
		ANY(vfio_device_detach_iommufd_pt, flags, ~(uint32_t)1, EINVAL) } },
	{ VFIO(VFIO_DEVICE_GET_INFO, vfio_device_info, num_irqs),
	  .fill = fill_nothing, .changes = {
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ VFIO(VFIO_DEVICE_GET_REGION_INFO, vfio_region_info, offset),
	  .fill = fill_nothing, .changes = {
		MIN(vfio_region_info, index, 100, EINVAL),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ VFIO(VFIO_DEVICE_GET_IRQ_INFO, vfio_irq_info, count),
	  .fill = fill_nothing, .changes = {
		MIN(vfio_irq_info, index, 100, EINVAL),
		{ STRUCT_READ_ONLY, 0, 0, EFAULT, 0 } } },
	{ VFIO(VFIO_DEVICE_SET_IRQS, vfio_irq_set, count),
	  .fill = fill_irqs, .changes = {
		ANY(vfio_irq_set, flags, ~(uint32_t)0x3f, EINVAL),
		SET(vfio_irq_set, flags, 0, EINVAL),
		SET(vfio_irq_set, flags, 0x3f, EINVAL),
		MIN(vfio_irq_set, index, 100, EINVAL),
		MIN(vfio_irq_set, start, 5000, EINVAL),
		MIN(vfio_irq_set, count, 5000, EINVAL) } },
	{ .name = "VFIO_DEVICE_RESET", .cmd = VFIO_DEVICE_RESET, .fd = &device_fd,
	  .size = 4, .any_size = true, .fill = fill_nothing, .error = EINVAL },
	{ VFIO(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, vfio_pci_hot_reset_info, count),
	  .fill = fill_hot_reset_info, .error = ENODEV },
	{ VFIO(VFIO_DEVICE_PCI_HOT_RESET, vfio_pci_hot_reset, count),
	  .fill = fill_nothing, .error = ENODEV, .changes = {
		ANY(vfio_pci_hot_reset, flags, UINT32_MAX, EINVAL),
		MIN(vfio_pci_hot_reset, count, 1, EINVAL) } },
	{ VFIO(VFIO_DEVICE_IOEVENTFD, vfio_device_ioeventfd, fd),
	  .fill = fill_ioeventfd, .error = ENODEV, .changes = {
		ANY(vfio_device_ioeventfd, flags, ~(uint32_t)0xf, EINVAL),
		SET(vfio_device_ioeventfd, flags, 0, EINVAL),
		SET(vfio_device_ioeventfd, fd, UINT32_MAX - 1, EINVAL),
		VAR(vfio_device_ioeventfd, fd, closed_fd, EBADF),
		MIN(vfio_device_ioeventfd, offset, 1ULL << 63, EINVAL) } },
	{ VFIO(VFIO_DEVICE_FEATURE, vfio_device_feature, flags),
	  .fill = fill_feature, .error = ENOTTY, .also = ENOTTY, .changes = {
		ANY(vfio_device_feature, flags, 0xfff8ULL << 16, EINVAL),
		SET(vfio_device_feature, flags, 0x30000, EINVAL),
		SET(vfio_device_feature, flags, 0x1ffff, ENOTTY) } },
	{ .name = "an unknown ioctl of VFIO", .cmd = _IO(VFIO_TYPE, 250),
	  .fd = &device_fd, .size = 4, .any_size = true, .fill = fill_nothing,
	  .error = ENOTTY },
};

/* A page for the arguments that ends where nothing is mapped, and one to read */
static unsigned char *arguments, *read_only;
static struct random generator;
static uint64_t nr_calls, nr_bad;
static uint64_t counts[ARRAY_SIZE(specs)][134];

static uint64_t any_number(void)
{
	uint64_t number = random_next(&generator);

	switch (random_below(&generator, 4)) {
	case 0: return number;
	case 1: return 1ULL << (number & 63);
	case 2: return UINT64_MAX;
	default: return number & 0xff;
	}
}

static uint64_t value_of(const struct change *change)
{
	const uint64_t all = change->width == 8 ? UINT64_MAX :
			     (1ULL << change->width * 8) - 1;
	uint64_t value = 0;

	switch (change->how) {
	case VARIABLE:
		/* The variable is as wide as the field */
		memcpy(&value, (void *)change->value, change->width);
		return value;
	case BITS:
		value = any_number() & change->value & all;
		return value ?: change->value & -change->value;
	case FROM:
		value = any_number() & all;
		return value < change->value ? change->value : value;
	default:
		return change->value;
	}
}

/*
 * Call with the changes whose bits are set, a bit above those of the table for a
 * struct that cannot be read, is too small or too large. Returns the error.
 */
enum { CHANGE_ADDRESS = MAX_CHANGES, CHANGE_SMALL, CHANGE_LARGE, NR_CHANGES };

static int call_with(const struct spec *spec, uint64_t changes)
{
	unsigned int size = spec->size, space, i;
	bool capability = true, small = false, large = false, fixed = false;
	unsigned char *args;
	void *address;
	int ret;

	memset(arguments, 0, page_size);
	for (i = 0; i < MAX_CHANGES; i++) {
		if (!(changes >> i & 1))
			continue;
		small |= spec->changes[i].how == SMALL_SIZE;
		large |= spec->changes[i].how == LARGE_SIZE;
		fixed |= spec->changes[i].how == STRUCT_READ_ONLY;
		capability &= spec->changes[i].how != NO_CAPABILITY;
	}
	small |= changes >> CHANGE_SMALL & 1;
	large |= changes >> CHANGE_LARGE & 1;

	/* At the end of the page, so that nothing behind the struct can be read */
	space = large ? size + 8 + random_below(&generator, page_size - size - 8) :
			size;
	space = (space + 7) & ~7U;
	args = arguments + page_size - space;
	spec->fill(args, size);
	for (i = 0; i < MAX_CHANGES; i++) {
		const struct change *change = &spec->changes[i];
		uint64_t value;

		if (!(changes >> i & 1) || change->how >= SMALL_SIZE)
			continue;
		value = value_of(change);
		memcpy(args + change->offset, &value, change->width);
	}
	if (large) {
		args[size + random_below(&generator, space - size)] =
			1 + random_below(&generator, 255);
		size = space;
	}
	if (small)
		size = random_below(&generator, spec->min_size);
	if (spec->min_size)
		memcpy(args, &size, 4);

	address = args;
	if (fixed) {
		memcpy(read_only, arguments, page_size);
		mprotect(read_only, page_size, PROT_READ);
		address = read_only + (args - arguments);
	}
	if (changes >> CHANGE_ADDRESS & 1) {
		switch (random_below(&generator, 5)) {
		case 0: address = NULL; break;
		case 3: address = (void *)bar_va; break;
		case 1: address = (void *)unmapped_va; break;
		case 2: address = (void *)(UINT64_MAX - 63); break;
		/* The end of the struct cannot be read */
		default: address = arguments + page_size - 2; break;
		}
	}

	if (!capability)
		set_capability(CAP_SYS_RAWIO, false);
	ret = call(*spec->fd, spec->cmd, address);
	if (!capability)
		set_capability(CAP_SYS_RAWIO, true);
	if (fixed)
		mprotect(read_only, page_size, PROT_READ | PROT_WRITE);
	nr_calls++;
	return ret < 0 ? -ret : 0;
}

/* The errno of a change in or above the table; 0: the change does not apply */
static int error_of(const struct spec *spec, unsigned int change)
{
	switch (change) {
	case CHANGE_ADDRESS:
		return spec->min_size && spec->error != ENOTTY ? EFAULT : 0;
	case CHANGE_SMALL:
		return spec->min_size > 1 && !spec->ordered &&
		       spec->error != ENOTTY ? EINVAL : 0;
	case CHANGE_LARGE:
		return !spec->any_size && !spec->ordered ? E2BIG : 0;
	default:
		return spec->changes[change].error;
	}
}

static unsigned int field_of(const struct spec *spec, unsigned int change)
{
	const struct change *entry = &spec->changes[change];

	if (change >= MAX_CHANGES)
		return 1000 + change;
	if (entry->how >= SMALL_SIZE)
		return 2000 + entry->how;
	/* Together, changes of the array and of its size can be valid */
	if (spec->ordered && entry->offset == offsetof(struct iommu_ioas_noiommu_get_pa,
						       num_extents))
		return offsetof(struct iommu_ioas_noiommu_get_pa, extents_uptr);
	return entry->offset;
}

/* Check the result of a call with these changes */
static void check_call(unsigned int number, uint64_t changes)
{
	const struct spec *spec = &specs[number];
	int error = call_with(spec, changes), want = 0;
	unsigned int i;
	bool right = false;

	counts[number][error < 134 ? error : 133]++;
	if (changes >> CHANGE_ADDRESS & 1) {
		want = EFAULT;
	} else if (spec->ordered) {
		for (i = 0; !want && i < MAX_CHANGES; i++)
			if (changes >> i & 1)
				want = spec->changes[i].error;
	} else {
		for (i = 0; i < NR_CHANGES; i++)
			right |= changes >> i & 1 && error == error_of(spec, i);
		/* What is wrong without a change, or with several ones */
		right |= spec->error && error == spec->error;
		right |= changes & (changes - 1) && error == spec->also;
		if (right)
			return;
		want = -1;
	}
	if (want == error || nr_bad++ >= 20)
		return;
	printf("# %s, changes", spec->name);
	for (i = 0; i < NR_CHANGES; i++)
		if (changes >> i & 1)
			printf(" %u (%s)", i, errno_name(error_of(spec, i)));
	printf(": %s\n", errno_name(error));
}

/* Everything that a call could have changed */
struct state {
	uint32_t next_id;
	struct usage usage;
	unsigned int nr_fds;
	int errors[8];
	struct iommu_noiommu_extent extents[8];
	struct iommu_iova_range ranges[4];
	unsigned char buffer[64];
};

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void read_state(struct state *state)
{
	struct iommu_ioas_iova_ranges ranges = {
		.size = sizeof(ranges),
		.ioas_id = ioas_id,
		.num_iovas = ARRAY_SIZE(state->ranges),
		.allowed_iovas = (uintptr_t)state->ranges,
	};
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint64_t length = UINT64_MAX, phys;

	memset(state, 0, sizeof(*state));
	/* A new object gets the lowest ID that is free */
	state->errors[0] = ioas_alloc(iommufd, &state->next_id);
	state->errors[1] = destroy(iommufd, state->next_id);
	state->errors[2] = get_pa_array(iommufd, ioas_id, AREA_IOVA, &length,
					state->extents, 8);
	state->errors[3] = call(iommufd, IOMMU_IOAS_IOVA_RANGES, &ranges);
	state->errors[4] = call(device_fd, VFIO_DEVICE_GET_INFO, &info);
	state->errors[5] = destroy(iommufd, hwpt_id);
	length = 1;
	state->errors[6] = get_pa(iommufd, ioas_id, BAR_IOVA, &length, &phys);
	state->errors[7] = device_reset(unbound_fd);
	memcpy(state->buffer, (void *)buffer_va, sizeof(state->buffer));
	state->nr_fds = count_fds();
	state->usage = usage_now();
}

static bool same_state(const struct state *before, struct state *now)
{
	usage_becomes(before->usage);
	read_state(now);
	return !memcmp(before, now, sizeof(*before));
}

/* A dma-buf of a BAR, which disabling the BAR revokes */
static int export_bar(void)
{
	struct vfio_region_info region;

	device_bar(device_fd, &region);
	bar_va = (uintptr_t)mmap(NULL, page_size, PROT_READ | PROT_WRITE,
				 MAP_SHARED, device_fd, region.offset);
	if (bar_va == (uintptr_t)MAP_FAILED)
		die("cannot map a BAR of %s", device.bdf);
	return device_export_bar(device_fd, region.index);
}

static void set_up(char **bdfs)
{
	struct iommu_fault_alloc fault = { .size = sizeof(fault) };
	uint64_t iova = AREA_IOVA, length;
	struct iommu_iova_range *range;
	uint32_t id;

	device_find(&device, bdfs[0]);
	device_find(&other_device, bdfs[1]);
	device_find(&group_device, bdfs[2]);

	/* Memory: before and behind each page is one that cannot be accessed */
	arguments = map_memory(9 * page_size, MAP_PRIVATE);
	mprotect(arguments, 9 * page_size, PROT_NONE);
	read_only = arguments + 2 * page_size;
	mprotect(arguments, page_size, PROT_READ | PROT_WRITE);
	mprotect(read_only, page_size, PROT_READ | PROT_WRITE);
	read_only_va = (uintptr_t)map_memory(page_size, MAP_PRIVATE);
	mprotect((void *)read_only_va, page_size, PROT_READ);
	extents_va = (uintptr_t)arguments + 4 * page_size;
	mprotect((void *)extents_va, page_size, PROT_READ | PROT_WRITE);
	unmapped_va = (uintptr_t)arguments + 6 * page_size;
	buffer_va = (uintptr_t)map_memory(AREA_PAGES * page_size, MAP_PRIVATE);
	memset((void *)buffer_va, 0x5a, AREA_PAGES * page_size);
	range = (void *)extents_va;
	range[0].last = range[1].last = UINT32_MAX;

	memory_fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(memory_fd, 16 * page_size))
		die("ftruncate failed: %s", strerror(errno));
	null_fd = open_file("/dev/null", O_RDWR);
	iommufd = open_file("/dev/iommu", O_RDWR);
	device_fd = open_file(device.node, O_RDWR);
	unbound_fd = open_file(other_device.node, O_RDWR);
	cdev_of_group_fd = open_file(group_device.node, O_RDWR);
	if (group_device.group[0])
		group_fd = open_file(group_device.group, O_RDWR);

	if (device_bind(device_fd, iommufd, &devid) ||
	    ioas_alloc(iommufd, &ioas_id) || ioas_alloc(iommufd, &plain_ioas_id) ||
	    ioas_alloc(iommufd, &misaligned_ioas_id) ||
	    hwpt_alloc(iommufd, devid, ioas_id, &hwpt_id) ||
	    call(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &fault))
		die("cannot use %s", device.bdf);
	fault_id = fault.out_fault_id;
	fault_fd = fault.out_fault_fd;
	id = hwpt_id;
	if (device_attach(device_fd, &id) ||
	    ioas_map(iommufd, ioas_id, (void *)buffer_va, AREA_PAGES * page_size,
		     &iova, MAP_AT))
		die("cannot map memory");
	iova = AREA_IOVA;
	if (ioas_map(iommufd, plain_ioas_id, (void *)buffer_va, page_size, &iova,
		     MAP_AT))
		die("cannot map memory of the IOAS without a HWPT");
	iova = 1;
	if (ioas_map(iommufd, misaligned_ioas_id, (void *)(buffer_va + 1), 16,
		     &iova, MAP_AT))
		die("cannot map part of a page");

	bar_fd = export_bar();
	iova = BAR_IOVA;
	length = page_size;
	if (bar_fd < 0 ||
	    ioas_map_file(iommufd, ioas_id, bar_fd, 0, length, &iova, MAP_AT))
		die("cannot map a dma-buf of %s", device.bdf);
	device_command(device_fd, 0, PCI_COMMAND_MEMORY);
}

static bool has_errors(const struct spec *spec)
{
	unsigned int i;

	for (i = 0; i < NR_CHANGES; i++)
		if (error_of(spec, i))
			return true;
	return spec->error;
}

/* Each change alone: its errno, and no other one */
static bool each_alone(unsigned int number)
{
	const struct spec *spec = &specs[number];
	bool all = true;
	unsigned int i;
	int error, want;

	if (spec->error) {
		error = call_with(spec, 0);
		counts[number][error]++;
		if (error != spec->error) {
			printf("# %s: %s, not %s\n", spec->name,
			       errno_name(error), errno_name(spec->error));
			all = false;
		}
	}
	for (i = 0; i < NR_CHANGES; i++) {
		want = error_of(spec, i);
		if (!want)
			continue;
		error = call_with(spec, 1ULL << i);
		counts[number][error]++;
		if (error != want) {
			printf("# %s, change %u: %s, not %s\n", spec->name, i,
			       errno_name(error), errno_name(want));
			all = false;
		}
	}
	return all;
}

/* One to three changes of different fields */
static uint64_t choose_changes(const struct spec *spec)
{
	unsigned int number = 1 + random_below(&generator, 3), fields[3];
	uint64_t changes = 0;
	unsigned int i, j, change;

	for (i = 0; i < number;) {
		change = random_below(&generator, NR_CHANGES);
		if (!error_of(spec, change)) {
			/* Some ioctls have no change at all */
			if (spec->error && random_below(&generator, 40) == 0)
				break;
			continue;
		}
		fields[i] = field_of(spec, change);
		for (j = 0; fields[j] != fields[i]; j++)
			;
		if (j == i)
			changes |= 1ULL << change;
		i++;
	}
	return changes;
}

static void print_counts(unsigned int number)
{
	unsigned int error;

	printf("# %s:", specs[number].name);
	for (error = 0; error < 134; error++)
		if (counts[number][error])
			printf(" %s %lu", errno_name(error), counts[number][error]);
	printf("\n");
}

int main(int argc, char **argv)
{
	uint64_t wanted = 20000, seed = 1, next_check = 5000;
	struct state before, now;
	struct usage at_start;
	unsigned int i;
	bool same = true;
	int option;

	page_size = getpagesize();
	while ((option = getopt(argc, argv, "o:s:")) >= 0)
		switch (option) {
		case 'o': wanted = number_of(optarg); break;
		case 's': seed = number_of(optarg); break;
		default: die("usage: fuzz [-o calls] [-s seed] DEVICE DEVICE DEVICE");
		}
	if (argc - optind != 3)
		die("three devices: without a reset, any, with a group");
	ktap_start(ARRAY_SIZE(specs) + 4);
	at_start = usage_now();
	generator.state = seed;
	set_up(argv + optind);
	read_state(&before);

	for (i = 0; i < ARRAY_SIZE(specs); i++)
		ktap(each_alone(i), "%s: each wrong argument has its errno",
		     specs[i].name);
	ktap(same_state(&before, &now), "they change nothing");

	while (nr_calls < wanted) {
		i = random_below(&generator, ARRAY_SIZE(specs));
		if (has_errors(&specs[i]))
			check_call(i, choose_changes(&specs[i]));
		if (nr_calls < next_check)
			continue;
		next_check += 5000;
		if (same_state(&before, &now))
			continue;
		printf("# after %lu calls something has changed\n", nr_calls);
		same = false;
		break;
	}
	for (i = 0; i < ARRAY_SIZE(specs); i++)
		print_counts(i);
	printf("# seed %lu, %lu calls\n", seed, nr_calls);
	ktap(!nr_bad, "wrong arguments at random: only errors, those of the arguments");
	ktap(same && same_state(&before, &now), "they change nothing, either");

	close(device_fd);
	close(unbound_fd);
	close(cdev_of_group_fd);
	close(group_fd);
	close(iommufd);
	munmap((void *)bar_va, page_size);
	close(bar_fd);
	close(fault_fd);
	ktap(usage_becomes(at_start), "nothing is left");
	return ktap_end();
}
