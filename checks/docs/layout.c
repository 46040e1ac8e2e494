/* SPDX-License-Identifier: GPL-2.0 */
/* The layout of the structs of IOMMU_IOAS_NOIOMMU_GET_PA, the same for 32 and 64 bit, in C and in C++. */
#include <linux/iommufd.h>
#include <linux/vfio.h>

#ifdef __cplusplus
#define check(what) static_assert(what, #what)
#else
#define check(what) _Static_assert(what, #what)
#endif

#define check_offset(type, field, offset) check(__builtin_offsetof(struct type, field) == (offset))

check(sizeof(struct iommu_noiommu_extent) == 16);
check_offset(iommu_noiommu_extent, phys, 0);
check_offset(iommu_noiommu_extent, length, 8);

check(sizeof(struct iommu_ioas_noiommu_get_pa) == 56);
check_offset(iommu_ioas_noiommu_get_pa, size, 0);
check_offset(iommu_ioas_noiommu_get_pa, flags, 4);
check_offset(iommu_ioas_noiommu_get_pa, ioas_id, 8);
check_offset(iommu_ioas_noiommu_get_pa, __reserved, 12);
check_offset(iommu_ioas_noiommu_get_pa, iova, 16);
check_offset(iommu_ioas_noiommu_get_pa, length, 24);
check_offset(iommu_ioas_noiommu_get_pa, out_phys, 32);
check_offset(iommu_ioas_noiommu_get_pa, extents_uptr, 40);
check_offset(iommu_ioas_noiommu_get_pa, num_extents, 48);
check_offset(iommu_ioas_noiommu_get_pa, __reserved2, 52);

/* An array of structs has no gaps on any architecture */
check(__alignof__(struct iommu_ioas_noiommu_get_pa) == 8);
check(__alignof__(struct iommu_noiommu_extent) == 8);

check(IOMMU_IOAS_NOIOMMU_GET_PA == (';' << 8 | 0x95));
