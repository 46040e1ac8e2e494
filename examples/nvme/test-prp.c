// SPDX-License-Identifier: GPL-2.0-only
/* PRPs from extents, read back as a controller does */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"
#include "test.h"

#define PAGE 4096
#define BASE ((uint64_t)UINTPTR_MAX / 4 + 1)
#define MAX_PAGES 1200
#define LIST_PAGES 3
#define MAX_CTRL_PAGE 65536

static uint64_t list_memory[LIST_PAGES][MAX_CTRL_PAGE / sizeof(uint64_t)];
static struct nvme_prp_page list[LIST_PAGES];
static struct noiommu_extent extents[MAX_PAGES];
static struct noiommu_mem mem = { .extents = extents };
static uint64_t page_pa[MAX_PAGES];

/* Extents of up to @max_run pages, at unordered physical addresses */
static void scatter(unsigned int pages, unsigned int max_run, unsigned int align)
{
	unsigned int run, page = 0, i;

	mem.nr_extents = 0;
	while (page < pages) {
		run = 1 + rand() % max_run;
		if (run > pages - page)
			run = pages - page;
		extents[mem.nr_extents++] = (struct noiommu_extent){
			.iova = BASE + (uint64_t)page * PAGE,
			/* One window per extent: none overlap or touch */
			.pa = (MAX_PAGES - page) * 0x1000000ULL +
			      (uint64_t)(1 + rand() % 64) * align,
			.length = (uint64_t)run * PAGE,
		};
		for (i = 0; i < run; i++)
			page_pa[page + i] = extents[mem.nr_extents - 1].pa +
					    (uint64_t)i * PAGE;
		page += run;
	}
	memset(list_memory, 0xff, sizeof(list_memory));
	for (i = 0; i < LIST_PAGES; i++) {
		list[i].entries = list_memory[i];
		list[i].pa = 0xabc000000000ULL + (uint64_t)(i * 7 % 5) * MAX_CTRL_PAGE;
	}
}

static int build(uint64_t offset, size_t length, size_t ctrl_page,
		 unsigned int nr_list, uint64_t prp[2])
{
	return nvme_build_prps(&mem, (void *)(uintptr_t)(BASE + offset), length, ctrl_page,
			       list, nr_list, prp);
}

static uint64_t *list_at(uint64_t pa)
{
	unsigned int i;

	for (i = 0; i < LIST_PAGES; i++) {
		if (list[i].pa == pa)
			return list[i].entries;
	}
	return NULL;
}

/* Check @length bytes at @pa against the extents, byte for byte */
static bool data_matches(uint64_t pa, uint64_t offset, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++, offset++)
		CHECK(pa + i == page_pa[offset / PAGE] + offset % PAGE);
	return true;
}

/* Walk the PRPs as the NVMe specification requires of a controller */
static bool controller_sees(const uint64_t prp[2], uint64_t offset,
			    size_t length, size_t ctrl_page)
{
	size_t per_page = ctrl_page / sizeof(uint64_t), entry = 0, step;
	uint64_t *entries;

	step = ctrl_page - prp[0] % ctrl_page;
	if (step > length)
		step = length;
	CHECK(prp[0] % 4 == 0);
	CHECK(data_matches(prp[0], offset, step));
	offset += step;
	length -= step;

	if (length <= ctrl_page) {
		CHECK(length || !prp[1]);
		CHECK(prp[1] % ctrl_page == 0);
		return data_matches(prp[1], offset, length);
	}

	entries = list_at(prp[1]);
	while (length) {
		CHECK(entries);
		if (entry == per_page - 1 && length > ctrl_page) {
			entries = list_at(entries[entry]);
			entry = 0;
			continue;
		}
		step = length < ctrl_page ? length : ctrl_page;
		CHECK(entries[entry] % ctrl_page == 0);
		CHECK(data_matches(entries[entry], offset, step));
		entry++;
		offset += step;
		length -= step;
	}
	return true;
}

static bool builds(uint64_t offset, size_t length, size_t ctrl_page,
		   unsigned int nr_list)
{
	uint64_t prp[2] = { UINT64_MAX, UINT64_MAX };

	CHECK(!build(offset, length, ctrl_page, nr_list, prp));
	return controller_sees(prp, offset, length, ctrl_page);
}

/* @length bytes at @offset need exactly @lists list pages */
static bool needs_lists(uint64_t offset, size_t length, unsigned int lists)
{
	uint64_t prp[2];

	CHECK(builds(offset, length, PAGE, lists));
	CHECK(!lists || build(offset, length, PAGE, lists - 1, prp) == -E2BIG);
	return true;
}

static bool one_and_two_pages_need_no_list(void)
{
	scatter(4, 1, PAGE);
	CHECK(needs_lists(0, 4, 0));
	CHECK(needs_lists(0, PAGE, 0));
	CHECK(needs_lists(0, PAGE + 1, 0));
	CHECK(needs_lists(0, 2 * PAGE, 0));
	CHECK(needs_lists(PAGE - 4, 4, 0));
	CHECK(needs_lists(PAGE - 4, 5, 0));
	CHECK(needs_lists(PAGE - 4, 4 + PAGE, 0));
	return true;
}

static bool three_pages_need_a_list(void)
{
	scatter(4, 1, PAGE);
	CHECK(needs_lists(0, 2 * PAGE + 1, 1));
	CHECK(needs_lists(PAGE - 4, 4 + PAGE + 1, 1));
	CHECK(needs_lists(1028, 2 * PAGE, 1));
	return true;
}

static bool full_list_pages_are_chained(void)
{
	scatter(MAX_PAGES, 1, PAGE);
	CHECK(needs_lists(0, 513 * PAGE, 1));
	CHECK(needs_lists(0, 513 * PAGE + 1, 2));
	CHECK(needs_lists(PAGE - 4, 4 + 512 * PAGE, 1));
	CHECK(needs_lists(PAGE - 4, 4 + 512 * PAGE + 1, 2));
	CHECK(needs_lists(0, (1 + 511 + 512) * PAGE, 2));
	CHECK(needs_lists(0, (1 + 511 + 512) * PAGE + 1, 3));
	return true;
}

static bool driver_has_enough_lists(void)
{
	scatter(MAX_PAGES, 1, PAGE);
	CHECK(builds(PAGE - 4, NVME_MAX_TRANSFER, PAGE, NVME_PRP_PAGES));
	return true;
}

static bool large_extents_are_cut_into_pages(void)
{
	scatter(MAX_PAGES, MAX_PAGES, PAGE);
	CHECK(builds(0, MAX_PAGES * PAGE, PAGE, LIST_PAGES));
	CHECK(builds(1028, (MAX_PAGES - 1) * PAGE, PAGE, LIST_PAGES));
	return true;
}

static bool bad_buffers_are_refused(void)
{
	uint64_t prp[2];

	scatter(8, 1, PAGE);
	CHECK(build(1, 512, PAGE, 1, prp) == -EINVAL);
	CHECK(build(2, 512, PAGE, 1, prp) == -EINVAL);
	CHECK(build(7 * PAGE, PAGE + 1, PAGE, 1, prp) == -EFAULT);
	CHECK(build(8 * PAGE, 4, PAGE, 1, prp) == -EFAULT);
	CHECK(build(0, 8 * PAGE + 1, PAGE, 1, prp) == -EFAULT);
	extents[3].length = 0;
	CHECK(build(0, 8 * PAGE, PAGE, 1, prp) == -EFAULT);
	return true;
}

static bool controller_pages_must_be_contiguous(void)
{
	uint64_t prp[2];

	scatter(64, 1, PAGE);
	CHECK(build(0, 4 * PAGE, 2 * PAGE, 1, prp) == -EINVAL);

	/* Only the second half of the second controller page is not contiguous */
	extents[0].pa = 0x10000;
	extents[1].pa = 0x10000 + PAGE;
	extents[2].pa = 0x20000;
	extents[3].pa = 0x30000;
	CHECK(build(2 * PAGE, 2 * PAGE, 2 * PAGE, 1, prp) == -EINVAL);
	extents[0].length = 2 * PAGE;
	memmove(&extents[1], &extents[2], 62 * sizeof(extents[0]));
	CHECK(build(0, 4 * PAGE, 2 * PAGE, 1, prp) == -EINVAL);
	CHECK(!build(0, 3 * PAGE, 2 * PAGE, 1, prp));
	return true;
}

static bool any_buffer_is_correct(void)
{
	static const size_t ctrl_pages[] = { 4096, 8192, 65536 };
	size_t length, ctrl_page, pages;
	uint64_t offset;
	int i;

	for (i = 0; i < 3000; i++) {
		ctrl_page = i % 4 ? 4096 : ctrl_pages[rand() % 3];
		pages = i % 8 ? 1 + rand() % 32 : 1 + rand() % MAX_PAGES;
		scatter(pages, ctrl_page == PAGE ? 1 + rand() % 16 : MAX_PAGES,
			ctrl_page);
		if (ctrl_page != PAGE && mem.nr_extents > 1)
			pages = extents[0].length / PAGE;
		offset = (uint64_t)rand() % (pages * PAGE) / 4 * 4;
		length = 1 + rand() % (pages * PAGE - offset);
		CHECK(builds(offset, length, ctrl_page, LIST_PAGES));
	}
	return true;
}

int main(void)
{
	static const struct test tests[] = {
		{ "one and two pages need no list", one_and_two_pages_need_no_list },
		{ "three pages need a list", three_pages_need_a_list },
		{ "full list pages are chained", full_list_pages_are_chained },
		{ "the driver has enough lists", driver_has_enough_lists },
		{ "large extents are cut into pages", large_extents_are_cut_into_pages },
		{ "bad buffers are refused", bad_buffers_are_refused },
		{ "controller pages must be contiguous", controller_pages_must_be_contiguous },
		{ "any buffer is correct", any_buffer_is_correct },
	};

	srand(1);
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
