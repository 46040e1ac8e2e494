// SPDX-License-Identifier: GPL-2.0-only
/* The extent table of noiommu.c, tested against a simulated kernel */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "noiommu.h"
#include "test.h"

#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define BASE ((uint64_t)UINTPTR_MAX / 4 + 1)
#define MAX_EXTENTS 100		/* per call of the simulated kernel */

static bool with_arrays;

/* The simulated kernel: page i of the mapping is at i * 2 pages of PA */
static struct {
	uint64_t run;		/* bytes of one extent */
	uint64_t fail_at;	/* IOVA */
	int fail_with;		/* errno, 0: none */
	int excess;		/* added to the returned length */
	bool returns_zero;
	bool has_arrays;
	unsigned int nr_mapped;
	unsigned int nr_array_calls;
} kernel;

static uint64_t kernel_pa(uint64_t iova)
{
	uint64_t offset = iova - BASE;

	return 0x100000000 + offset / kernel.run * 2 * kernel.run +
	       offset % kernel.run;
}

static int kernel_get_pa(struct noiommu_get_pa *get);

/* Fill the array, one extent at a time */
static int kernel_get_pa_array(struct noiommu_get_pa *get)
{
	uint64_t *extents = (void *)(uintptr_t)get->extents_uptr;
	struct noiommu_get_pa one = *get;
	uint64_t left = get->length;
	unsigned int i;

	one.num_extents = 0;
	one.extents_uptr = 0;
	for (i = 0; left && i < get->num_extents && i < MAX_EXTENTS; i++) {
		one.length = left;
		if (kernel_get_pa(&one)) {
			if (!i)
				return -1;
			break;
		}
		extents[2 * i] = one.out_phys;
		extents[2 * i + 1] = one.length;
		one.iova += one.length;
		left -= one.length;
		if (!one.length || left > get->length)
			break;
	}
	get->num_extents = i ? i : 1;
	return 0;
}

static int kernel_get_pa(struct noiommu_get_pa *get)
{
	uint64_t left = kernel.run - (get->iova - BASE) % kernel.run;

	if (get->num_extents) {
		kernel.nr_array_calls++;
		if (kernel.has_arrays)
			return kernel_get_pa_array(get);
		errno = E2BIG;
		return -1;
	}
	if (kernel.fail_with && get->iova >= kernel.fail_at) {
		errno = kernel.fail_with;
		return -1;
	}
	if (get->size != sizeof(*get) || get->flags || get->__reserved ||
	    !get->length) {
		errno = EINVAL;
		return -1;
	}
	get->out_phys = kernel_pa(get->iova);
	if (get->length > left)
		get->length = left;
	get->length += kernel.excess;
	if (kernel.returns_zero)
		get->length = 0;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	(void)fd;
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	switch (request) {
	case IOMMU_IOAS_MAP:
		kernel.nr_mapped++;
		return 0;
	case IOMMU_IOAS_UNMAP:
		kernel.nr_mapped--;
		return 0;
	case _IO(IOMMUFD_TYPE, 0x95):
		return kernel_get_pa(arg);
	default:
		errno = ENOTTY;
		return -1;
	}
}

static struct noiommu iommu;
static struct noiommu_mem mem;

static int map(size_t length)
{
	return noiommu_map(&iommu, (void *)BASE, length, &mem);
}

static void reset_kernel(uint64_t run)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.run = run;
	kernel.has_arrays = with_arrays;
	iommu.one_extent_per_call = false;
	iommu.error[0] = '\0';
}

static bool table_covers_the_mapping(void)
{
	static const size_t counts[] = { 1, 2, 63, 64, 65, 1000 };
	uint64_t iova;
	size_t i, at;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		reset_kernel(PAGE);
		CHECK(!map(counts[i] * PAGE));
		CHECK(mem.nr_extents == counts[i]);
		for (at = 0; at < counts[i]; at++) {
			iova = BASE + at * PAGE;
			CHECK(mem.extents[at].iova == iova);
			CHECK(mem.extents[at].pa == kernel_pa(iova));
			CHECK(mem.extents[at].length == PAGE);
		}
		CHECK(!noiommu_unmap(&iommu, &mem));
		CHECK(!kernel.nr_mapped);
	}
	return true;
}

static bool last_extent_is_cut_at_the_end(void)
{
	reset_kernel(512 * PAGE);
	CHECK(!map(513 * PAGE));
	CHECK(mem.nr_extents == 2);
	CHECK(mem.extents[0].length == 512 * PAGE);
	CHECK(mem.extents[1].iova == BASE + 512 * PAGE);
	CHECK(mem.extents[1].pa == kernel_pa(BASE + 512 * PAGE));
	CHECK(mem.extents[1].length == PAGE);
	CHECK(!noiommu_unmap(&iommu, &mem));
	return true;
}

static bool errors_undo_the_mapping(void)
{
	const uint64_t fail_at = BASE + 3 * PAGE;
	char address[32];
	const struct {
		int err;
		const char *text;
	} errors[] = {
		{ EPERM, "CAP_SYS_RAWIO" },
		{ ENOTTY, "CONFIG_IOMMUFD_NOIOMMU" },
		{ EOPNOTSUPP, "noiommu device" },
		{ ENOENT, address },
	};
	size_t i;

	snprintf(address, sizeof(address), "%#llx", (unsigned long long)fail_at);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		reset_kernel(PAGE);
		kernel.fail_with = errors[i].err;
		kernel.fail_at = fail_at;
		CHECK(map(8 * PAGE) == -errors[i].err);
		CHECK(strstr(iommu.error, errors[i].text));
		CHECK(!kernel.nr_mapped);
		CHECK(!noiommu_unmap(&iommu, &mem));
	}
	return true;
}

static bool nonsense_ends_the_loop(void)
{
	reset_kernel(PAGE);
	kernel.returns_zero = true;
	CHECK(map(8 * PAGE) == -EIO);
	CHECK(!kernel.nr_mapped);

	reset_kernel(8 * PAGE);
	kernel.excess = 1;
	CHECK(map(8 * PAGE) == -EIO);
	CHECK(!kernel.nr_mapped);
	return true;
}

static bool only_whole_pages_are_mapped(void)
{
	reset_kernel(PAGE);
	CHECK(map(0) == -EINVAL);
	CHECK(map(PAGE + 1) == -EINVAL);
	CHECK(noiommu_map(&iommu, (void *)(BASE + 4), PAGE, &mem) == -EINVAL);
	CHECK(!kernel.nr_mapped);
	return true;
}

static bool array_form_is_tried_once(void)
{
	reset_kernel(PAGE);
	CHECK(!map(8 * PAGE));
	CHECK(!noiommu_unmap(&iommu, &mem));
	CHECK(!map(8 * PAGE));
	CHECK(!noiommu_unmap(&iommu, &mem));
	CHECK(kernel.nr_array_calls == 1);
	return true;
}

static bool array_form_takes_few_calls(void)
{
	reset_kernel(PAGE);
	CHECK(!map(8 * MAX_EXTENTS * PAGE));
	CHECK(mem.nr_extents == 8 * MAX_EXTENTS);
	CHECK(!noiommu_unmap(&iommu, &mem));
	CHECK(kernel.nr_array_calls == 8);
	return true;
}

/* Extents of different sizes, with a hole before the last, which ends the address space */
static struct noiommu_extent scattered[] = {
	{ 0x10000, 0x900000, 0x1000 },
	{ 0x11000, 0x400000, 0x3000 },
	{ 0x14000, 0x700800, 0x10 },
	{ UINTPTR_MAX - 0xfff, 0x200000, 0x1000 },
};

static const struct noiommu_mem table = {
	.extents = scattered,
	.nr_extents = 4,
};

static ssize_t translate(uint64_t address, size_t length, uint64_t *pa)
{
	*pa = 0;
	return noiommu_translate(&table, (void *)(uintptr_t)address, length, pa);
}

static bool translation_finds_each_byte(void)
{
	const struct noiommu_extent *extent;
	uint64_t offset, pa;
	size_t i;

	for (i = 0; i < table.nr_extents; i++) {
		extent = &scattered[i];
		for (offset = 0; offset < extent->length; offset++) {
			CHECK(translate(extent->iova + offset, SIZE_MAX, &pa) ==
			      (ssize_t)(extent->length - offset));
			CHECK(pa == extent->pa + offset);
		}
	}
	return true;
}

static bool translation_stops_at_the_length(void)
{
	uint64_t pa;

	CHECK(translate(0x11004, 1, &pa) == 1);
	CHECK(translate(0x11004, 0x2ffc, &pa) == 0x2ffc);
	CHECK(translate(0x11004, 0x2ffd, &pa) == 0x2ffc);
	return true;
}

static bool what_is_not_mapped_is_not_translated(void)
{
	static const uint64_t outside[] = {
		0, 0xffff, 0x14010, 0x15000, UINTPTR_MAX - 0x1000,
	};
	static const struct noiommu_mem empty;
	uint64_t pa;
	size_t i;

	for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		CHECK(translate(outside[i], 1, &pa) == -EFAULT);
	CHECK(noiommu_translate(&empty, &pa, 1, &pa) == -EFAULT);
	return true;
}

/* The tests above, with the array form */
static bool many_extents_per_call(void)
{
	bool ok;

	with_arrays = true;
	ok = table_covers_the_mapping() && last_extent_is_cut_at_the_end() &&
	     errors_undo_the_mapping() && nonsense_ends_the_loop() &&
	     array_form_takes_few_calls();
	with_arrays = false;
	return ok;
}

int main(void)
{
	static const struct test tests[] = {
		{ "the table covers the mapping", table_covers_the_mapping },
		{ "the last extent is cut at the end", last_extent_is_cut_at_the_end },
		{ "errors undo the mapping", errors_undo_the_mapping },
		{ "nonsense from the kernel ends the loop", nonsense_ends_the_loop },
		{ "the array form is tried once", array_form_is_tried_once },
		{ "all of this with many extents per call", many_extents_per_call },
		{ "only whole pages are mapped", only_whole_pages_are_mapped },
		{ "translation finds each byte", translation_finds_each_byte },
		{ "translation stops at the length", translation_stops_at_the_length },
		{ "what is not mapped is not translated", what_is_not_mapped_is_not_translated },
	};

	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
