// SPDX-License-Identifier: GPL-2.0-only
/*
 * PRPs: entry 1 of a command is any multiple of 4 bytes, each further entry is
 * the start of a controller page. Entry 2 is the second of two pages, or the
 * first page of a list. The last entry of a full list page points to the next
 * list page.
 */
#include <errno.h>

#include "nvme.h"

int nvme_build_prps(const struct noiommu_mem *mem, const void *buf,
		    size_t length, size_t page_size,
		    const struct nvme_prp_page *list, unsigned int nr_pages,
		    uint64_t prp[2])
{
	size_t per_page = page_size / sizeof(*list->entries), entry = 0;
	size_t step, left, nr;
	unsigned int page = 0;
	const char *pos = buf;
	bool need_list;
	uint64_t pa;
	ssize_t run;

	run = noiommu_translate(mem, pos, length, &prp[0]);
	if (run < 0)
		return run;
	step = page_size - prp[0] % page_size;
	if (step > length)
		step = length;
	if (prp[0] % 4 || (size_t)run < step)
		return -EINVAL;

	left = length - step;
	nr = (left + page_size - 1) / page_size;
	need_list = nr > 1;
	if (need_list && !nr_pages)
		return -E2BIG;
	prp[1] = need_list ? list[0].pa : 0;

	for (; nr; nr--) {
		pos += step;
		step = left < page_size ? left : page_size;
		left -= step;
		run = noiommu_translate(mem, pos, step, &pa);
		if (run < 0)
			return run;
		if (pa % page_size || (size_t)run < step)
			return -EINVAL;

		if (!need_list) {
			prp[1] = pa;
			continue;
		}
		if (entry == per_page - 1 && nr > 1) {
			if (page + 1 == nr_pages)
				return -E2BIG;
			list[page].entries[entry] = list[page + 1].pa;
			page++;
			entry = 0;
		}
		list[page].entries[entry++] = pa;
	}
	return 0;
}
