// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress - threads that use noiommu devices and iommufd at the same time
 *
 * Each thread maps its own memory to its own IOVAs in all IOASes. It uses devices
 * and HWPTs that all threads share. The program keeps a model of the state, and
 * the model determines which results are permitted. At an audit the threads stop
 * and the pins, the charge and the contents of the memory must match the model.
 *
 * The first device keeps all memory pinned, so the physical address of each page
 * is known. The threads use the second device and an iommufd without any lock or
 * model ("wild"): a result must be one that the call can have at any time.
 *
 * With -m there are mock devices as well, of CONFIG_IOMMUFD_TEST. The page tables of
 * their IOMMU are compared at an audit: both kinds of tables share the pinned pages.
 *
 * The operations of a thread depend on the seed and the thread alone. The order in
 * which the threads run them differs from run to run.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "iommufd_test.h"
#include "ops.h"

enum {
	MAX_THREADS = 16,
	MAX_DEVICES = 16,
	NR_CONTEXTS = 2,
	NR_IOASES = 3,		/* of each context */
	NR_HWPTS = 3,
	NR_FIXED = 8,		/* areas at the thread's own IOVAs */
	NR_AREAS = 10,		/* and areas whose IOVA the kernel chooses */
	AREA_PAGES = 16,	/* at most */
	THREAD_PAGES = 128,	/* anonymous memory, and as much of a memfd */
	NR_WILD_IDS = 5,
	NR_WILD_IOVAS = 4,
};

/* IOVAs of a thread */
static uint64_t window = 2ULL << 30, first_window = 8ULL << 30;

/* How often each operation is chosen. OP_ATTACH stands for OP_REPLACE, too. */
static const unsigned int weights[NR_OPS] = {
	[OP_MAP] = 150, [OP_MAP_ANYWHERE] = 30, [OP_MAP_FILE] = 60,
	[OP_COPY] = 170, [OP_UNMAP] = 190, [OP_GET_PA] = 60,
	[OP_GET_PA_ARRAY] = 50, [OP_GET_PA_OTHER] = 20, [OP_ATTACH] = 80,
	[OP_ATTACH_OTHER_KIND] = 4, [OP_DETACH] = 24, [OP_HWPT_ALLOC] = 70,
	[OP_IOAS] = 8, [OP_OPEN] = 6, [OP_RESET] = 4, [OP_PARAMETER] = 2,
	[OP_GROUP] = 2, [OP_RESTART] = 1,
	[WILD_MAP] = 16, [WILD_MAP_FILE] = 8, [WILD_COPY] = 16,
	[WILD_UNMAP] = 16, [WILD_GET_PA] = 8, [WILD_GET_PA_ARRAY] = 8,
	[WILD_ATTACH] = 16, [WILD_DETACH] = 4, [WILD_HWPT_ALLOC] = 16,
	[WILD_DESTROY] = 16, [WILD_IOAS_ALLOC] = 12, [WILD_BIND] = 6,
	[WILD_RESET] = 1, [WILD_REOPEN] = 2, [WILD_NEW_IOMMUFD] = 1,
	[WILD_CHANGE_PROCESS] = 2, [WILD_OPTION] = 2,
};

/* What IOMMU_IOAS_MAP pins, shared by the areas that were copied from it */
struct source {
	atomic_uint users;
	unsigned int first_page;	/* in the pool */
	uint32_t audited;		/* a bit per page */
};

struct area {
	struct source *source;		/* NULL: nothing is mapped */
	uint64_t iova;
	unsigned int offset;		/* pages from the start of the source */
	unsigned int nr_pages;
};

/*
 * The number of HWPTs that an IOAS certainly has, and may have. A call that fails
 * or succeeds because of it is judged by the numbers before and after the call.
 */
struct count {
	unsigned int sure;
	unsigned int maybe;
	unsigned int times_none_sure;
	unsigned int times_one_maybe;
};

enum kind { KIND_IOMMU, KIND_NOIOMMU, NR_KINDS };

struct ioas {
	uint32_t id;
	pthread_mutex_t lock;
	struct count hwpts[NR_KINDS];
	struct area areas[MAX_THREADS][NR_AREAS];
};

struct hwpt {
	pthread_mutex_t lock;
	uint32_t id;			/* 0: not allocated */
	enum kind kind;
	struct ioas *ioas;
	atomic_uint sure_users;		/* devices that are certainly attached */
	atomic_uint users;		/* and those that may be */
};

struct context {
	pthread_rwlock_t lock;		/* written to replace the iommufd */
	int fd;
	struct ioas ioases[NR_IOASES];
	struct hwpt hwpts[NR_HWPTS];
};

enum state { CLOSED, OPEN, BOUND };

/* Lock order: devices in their order, context, HWPT, IOAS */
struct shared_device {
	struct device device;
	pthread_mutex_t lock;
	enum state state;
	int fd;
	bool can_reset;
	struct context *context;
	uint32_t id;
	struct ioas *attached;		/* by a HWPT of the kernel's making */
	struct hwpt *hwpt;
	bool mock;			/* is created at bind, and is always attached */
	uint32_t mock_id, mock_hwpt_id;
};

struct thread {
	unsigned int index;
	pthread_t pthread;
	struct random random;
	uint64_t number;		/* of the current operation */
	enum op op;
	unsigned int args[6];
	int fault_fd;
	uint64_t counts[NR_OPS][134];	/* by errno */
};

static unsigned int nr_threads = 4, nr_devices, nr_mocks;
static uint64_t nr_operations = 20000, audit_after = 5000, seconds, seed = 1;
static bool with_faults, on_6_12;
static struct thread threads[MAX_THREADS];
static struct shared_device devices[MAX_DEVICES];
static struct context contexts[NR_CONTEXTS];
static struct device keeper_device, wild_device;
static int keeper_fd, keeper, wild_fd, wild, memory_fd, param_fd, devmem_fd;
static uint32_t keeper_ioas;

static uint64_t page_size;
static unsigned int nr_pages;		/* in the pool: anonymous, then memfd */
static char *anonymous, *memfd;
static uint64_t *phys;			/* of each page */

struct frame {
	uint64_t phys;
	unsigned int page;
};
static struct frame *frames;		/* sorted by phys */

static pthread_barrier_t barrier;
static time_t started;
static bool finished;
static atomic_uint nr_errors;
static unsigned int nr_audits, nr_wrong_audits, nr_wrong_pages, nr_mock_areas;
static atomic_ulong nr_contents;
static struct usage with_keeper;

static struct progress *progress;

static unsigned int anonymous_page(struct thread *thread, unsigned int page)
{
	return thread->index * THREAD_PAGES + page;
}

static unsigned int memfd_page(struct thread *thread, unsigned int page)
{
	return nr_pages / 2 + thread->index * THREAD_PAGES + page;
}

static char *page_va(unsigned int page)
{
	if (page < nr_pages / 2)
		return anonymous + page * page_size;
	return memfd + (page - nr_pages / 2) * page_size;
}

static uint64_t pattern(unsigned int page, unsigned int word)
{
	struct random random = { seed << 32 ^ (uint64_t)page << 16 ^ word };

	return random_next(&random);
}

static void complain(struct thread *thread, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void complain(struct thread *thread, const char *format, ...)
{
	const unsigned int *args = thread->args;
	char text[256];
	va_list list;

	if (atomic_fetch_add(&nr_errors, 1) >= 20)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("# thread %u, operation %lu, %s (%u %u %u %u %u %u): %s\n",
	       thread->index, thread->number, op_names[thread->op], args[0],
	       args[1], args[2], args[3], args[4], args[5], text);
}

/*
 * Count the result of a call, and complain if it is not one of @errors. Returns
 * true if the call succeeded as it was permitted to. Memory may run out while faults are injected.
 */
static bool result(struct thread *thread, enum op op, int ret,
		   const int *errors)
{
	int error = ret < 0 ? -ret : 0;
	enum op intended = thread->op;

	thread->counts[op][error < 134 ? error : 133]++;
	if (with_faults && error == ENOMEM)
		return false;
	for (; *errors >= 0; errors++)
		if (error == *errors)
			return !error;
	thread->op = op;
	complain(thread, "%s", errno_name(error));
	thread->op = intended;
	return false;
}

#define RESULT(_thread, _op, _ret, ...) \
	result(_thread, _op, _ret, (const int[]){ __VA_ARGS__, -1 })

/* A HWPT is about to appear in the IOAS, or to disappear */
static void begin_add(struct ioas *ioas, enum kind kind)
{
	struct count *count = &ioas->hwpts[kind];

	pthread_mutex_lock(&ioas->lock);
	if (!count->maybe++)
		count->times_one_maybe++;
	pthread_mutex_unlock(&ioas->lock);
}

static void end_add(struct ioas *ioas, enum kind kind, bool done)
{
	struct count *count = &ioas->hwpts[kind];

	pthread_mutex_lock(&ioas->lock);
	if (done)
		count->sure++;
	else
		count->maybe--;
	pthread_mutex_unlock(&ioas->lock);
}

static void begin_remove(struct ioas *ioas, enum kind kind)
{
	struct count *count = &ioas->hwpts[kind];

	pthread_mutex_lock(&ioas->lock);
	if (!--count->sure)
		count->times_none_sure++;
	pthread_mutex_unlock(&ioas->lock);
}

static void end_remove(struct ioas *ioas, enum kind kind, bool done)
{
	struct count *count = &ioas->hwpts[kind];

	pthread_mutex_lock(&ioas->lock);
	if (done)
		count->maybe--;
	else
		count->sure++;
	pthread_mutex_unlock(&ioas->lock);
}

static struct count read_count(struct ioas *ioas, enum kind kind)
{
	struct count count;

	pthread_mutex_lock(&ioas->lock);
	count = ioas->hwpts[kind];
	pthread_mutex_unlock(&ioas->lock);
	return count;
}

static bool certainly_one(struct count before, struct count after)
{
	return before.sure && before.times_none_sure == after.times_none_sure;
}

static bool certainly_none(struct count before, struct count after)
{
	return !before.maybe && before.times_one_maybe == after.times_one_maybe;
}

/* Calls that are not part of the test must not fail */
static void faults(struct thread *thread, bool on)
{
	if (with_faults && pwrite(thread->fault_fd, on ? "1" : "0", 1, 0) != 1)
		die("cannot write make-it-fail: %s", strerror(errno));
}

static enum kind kind_of(struct shared_device *device)
{
	return device->device.noiommu ? KIND_NOIOMMU : KIND_IOMMU;
}

static uint64_t window_iova(unsigned int thread, unsigned int slot)
{
	uint64_t iova = first_window + thread * window;

	/* Two times four adjacent areas; tables of all levels end amid the second */
	if (slot >= 4)
		iova += window / 2 - 6 * AREA_PAGES * page_size;
	return iova + slot * AREA_PAGES * page_size;
}

static unsigned int first_page(struct area *area)
{
	return area->source->first_page + area->offset;
}

static void area_set(struct area *area, struct source *source, uint64_t iova,
		     unsigned int offset, unsigned int nr)
{
	source->users++;
	area->source = source;
	area->iova = iova;
	area->offset = offset;
	area->nr_pages = nr;
}

static void area_clear(struct area *area)
{
	if (area->source && !--area->source->users)
		free(area->source);
	area->source = NULL;
}

/* Compare what is at a physical address with what was written to the page */
static bool content_is(uint64_t address, unsigned int page, unsigned int word)
{
	uint64_t value;

	if (pread(devmem_fd, &value, sizeof(value), address) != sizeof(value))
		die("cannot read /dev/mem at %#lx: %s", address, strerror(errno));
	return value == pattern(page, word);
}

/* Linux 6.12 has no MAP_FILE. It maps memory of the file by its address. */
static int map_file(int iommufd, uint32_t ioas_id, unsigned int page,
		    uint64_t length, uint64_t *iova)
{
	if (on_6_12)
		return ioas_map(iommufd, ioas_id, page_va(page), length, iova,
				MAP_AT);
	return ioas_map_file(iommufd, ioas_id, memory_fd,
			     (page - nr_pages / 2) * page_size, length, iova,
			     MAP_AT);
}

/* MAP, MAP_FILE */
static void map(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *ioas = &context->ioases[args[1] % NR_IOASES];
	bool anywhere = thread->op == OP_MAP_ANYWHERE;
	unsigned int slot = anywhere ? NR_FIXED + args[2] % (NR_AREAS - NR_FIXED) :
				       args[2] % NR_FIXED;
	struct area *area = &ioas->areas[thread->index][slot];
	/* Half of the areas are of full size, and adjacent */
	unsigned int nr = args[4] & 1 ? AREA_PAGES : 1 + args[5] % AREA_PAGES;
	unsigned int page = args[3] % (THREAD_PAGES - nr + 1);
	uint64_t iova = window_iova(thread->index, slot);
	struct source *source;
	int ret;

	/* The kernel would find another IOVA */
	if (anywhere && area->source)
		return;

	if (thread->op == OP_MAP_FILE) {
		page = memfd_page(thread, page);
		ret = map_file(context->fd, ioas->id, page, nr * page_size, &iova);
	} else {
		page = anonymous_page(thread, page);
		ret = ioas_map(context->fd, ioas->id, page_va(page),
			       nr * page_size, &iova, anywhere ? MAP_ANY : MAP_AT);
	}
	if (!RESULT(thread, thread->op, ret, area->source ? EEXIST : 0))
		return;
	source = calloc(1, sizeof(*source));
	source->first_page = page;
	area_set(area, source, iova, 0, nr);
}

static void copy(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *from = &context->ioases[args[1] % NR_IOASES];
	struct ioas *to = &context->ioases[args[2] % NR_IOASES];
	unsigned int slot = args[3] % NR_AREAS;
	struct area *source = &from->areas[thread->index][slot];
	struct area *area = &to->areas[thread->index][args[4] % NR_FIXED];
	uint64_t src_iova = window_iova(thread->index, slot % NR_FIXED);
	uint64_t iova = window_iova(thread->index, args[4] % NR_FIXED);
	unsigned int offset = 0, nr = 1;
	int ret;

	/* Part of the area, or one byte more than there is of a hole */
	if (source->source) {
		offset = args[5] / AREA_PAGES % source->nr_pages;
		nr = 1 + args[5] % (source->nr_pages - offset);
		src_iova = source->iova + offset * page_size;
	} else if (slot >= NR_FIXED) {
		return;
	}
	ret = ioas_copy(context->fd, to->id, &iova, from->id, src_iova,
			nr * page_size, MAP_AT);
	if (RESULT(thread, OP_COPY, ret, !source->source ? ENOENT :
					 area->source ? EEXIST : 0))
		area_set(area, source->source, iova, source->offset + offset, nr);
}

static void unmap(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *ioas = &context->ioases[args[1] % NR_IOASES];
	unsigned int slot = args[2] % NR_AREAS;
	struct area *area = &ioas->areas[thread->index][slot];
	uint64_t iova = window_iova(thread->index, slot % NR_FIXED);
	uint64_t length = page_size, size = 0;
	bool part = false;
	int ret;

	if (area->source) {
		iova = area->iova;
		size = area->nr_pages * page_size;
		/* Part of a mapping cannot be unmapped */
		part = args[3] % 4 == 0;
		length = part ? size - 1 : size;
	} else if (slot >= NR_FIXED) {
		return;
	}
	ret = ioas_unmap(context->fd, ioas->id, iova, &length);
	/* Unmapping does not need memory */
	if (ret == -ENOMEM)
		complain(thread, "out of memory");
	if (!RESULT(thread, OP_UNMAP, ret, area->source && !part ? 0 : ENOENT))
		return;
	if (length != size)
		complain(thread, "%#lx bytes of %#lx", length, size);
	area_clear(area);
}

/*
 * GET_PA depends on the mapping, which only this thread changes, and on the
 * existence of a noiommu HWPT.
 */
static bool get_pa_result(struct thread *thread, struct area *area,
			  struct ioas *ioas, struct count before, int ret)
{
	struct count after = read_count(ioas, KIND_NOIOMMU);
	int want = area->source ? 0 : ENOENT;

	if (certainly_one(before, after))
		return RESULT(thread, thread->op, ret, want);
	if (certainly_none(before, after))
		return RESULT(thread, thread->op, ret, EOPNOTSUPP);
	return RESULT(thread, thread->op, ret, want, EOPNOTSUPP);
}

/* Bytes from @offset of the area that are contiguous, at most @length */
static uint64_t contiguous(struct area *area, uint64_t offset, uint64_t length)
{
	unsigned int page = first_page(area) + offset / page_size;
	unsigned int end = first_page(area) + area->nr_pages;
	uint64_t run = page_size - offset % page_size;

	for (; page + 1 < end && phys[page + 1] == phys[page] + page_size; page++)
		run += page_size;
	return run < length ? run : length;
}

/* Check one extent and, of every fourth one, the contents of the memory */
static void check_extent(struct thread *thread, struct area *area,
			 uint64_t offset, uint64_t length, uint64_t got_phys,
			 uint64_t got_length)
{
	unsigned int page = first_page(area) + offset / page_size;
	uint64_t want = phys[page] + offset % page_size;
	uint64_t run = contiguous(area, offset, length);
	unsigned int last;

	if (got_phys != want || got_length != run) {
		complain(thread, "%#lx+%#lx, not %#lx+%#lx", got_phys,
			 got_length, want, run);
		return;
	}
	if (thread->args[0] % 4)
		return;
	last = (offset + run - 1) / page_size - offset / page_size;
	faults(thread, false);
	if (!content_is((got_phys & -page_size) + last * page_size, page + last, 0))
		complain(thread, "the contents of %#lx are wrong", got_phys);
	faults(thread, true);
	nr_contents++;
}

static void query(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *ioas = &context->ioases[args[1] % NR_IOASES];
	unsigned int slot = args[2] % NR_AREAS;
	struct area *area = &ioas->areas[thread->index][slot];
	uint64_t iova = window_iova(thread->index, slot % NR_FIXED);
	uint64_t size = page_size, offset, length, asked, address;
	struct count before;
	int ret;

	if (area->source) {
		iova = area->iova;
		size = area->nr_pages * page_size;
	} else if (slot >= NR_FIXED) {
		return;
	}
	offset = args[3] % size;
	asked = args[4] % 2 ? UINT64_MAX : 1 + args[5] % (2 * size);
	length = asked;
	before = read_count(ioas, KIND_NOIOMMU);
	ret = get_pa(context->fd, ioas->id, iova + offset, &length, &address);
	if (get_pa_result(thread, area, ioas, before, ret))
		check_extent(thread, area, offset, asked, address, length);
}

static void query_array(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *ioas = &context->ioases[args[1] % NR_IOASES];
	struct iommu_noiommu_extent extents[40] = {};
	unsigned int slot = args[2] % NR_FIXED, max = 1 + args[4] % 40;
	struct area *area = &ioas->areas[thread->index][slot];
	/* Not past the group of adjacent areas */
	uint64_t left = window_iova(thread->index, slot | 3) +
			AREA_PAGES * page_size - area->iova;
	uint64_t length, asked, offset, sum = 0;
	struct count before;
	int ret, i;

	if (!area->source)
		left = page_size;
	offset = area->source ? args[3] % (area->nr_pages * page_size) : 0;
	asked = 1 + args[5] % (left - offset);
	length = asked;
	before = read_count(ioas, KIND_NOIOMMU);
	ret = get_pa_array(context->fd, ioas->id,
			   window_iova(thread->index, slot) + offset, &length,
			   extents, max);
	if (!get_pa_result(thread, area, ioas, before, ret))
		return;
	for (i = 0; sum < asked && area->source && i < (int)max; i++) {
		uint64_t end = area->nr_pages * page_size;

		check_extent(thread, area, offset, asked - sum, extents[i].phys,
			     extents[i].length);
		sum += extents[i].length;
		offset += extents[i].length;
		if (offset < end)
			continue;
		/* The next area follows if this one has full size */
		if (area->nr_pages != AREA_PAGES || slot % 4 == 3) {
			i++;
			break;
		}
		area = &ioas->areas[thread->index][++slot];
		offset = 0;
	}
	if (ret != i || length != sum)
		complain(thread, "%d extents of %#lx bytes, not %d of %#lx", ret,
			 length, i, sum);
}

/* The page at this physical address, or -1 */
static int find_page(uint64_t address)
{
	unsigned int low = 0, high = nr_pages;

	address &= -page_size;
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (frames[middle].phys == address)
			return frames[middle].page;
		if (frames[middle].phys < address)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static void query_other(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *ioas = &context->ioases[args[1] % NR_IOASES];
	unsigned int other = args[3] % nr_threads;
	uint64_t length = UINT64_MAX, address;
	int ret, page;

	ret = get_pa(context->fd, ioas->id,
		     window_iova(other, args[2] % NR_FIXED) + args[4] % page_size,
		     &length, &address);
	if (!RESULT(thread, OP_GET_PA_OTHER, ret, 0, ENOENT, EOPNOTSUPP))
		return;
	page = find_page(address);
	if (page < 0 || page % (nr_pages / 2) / THREAD_PAGES != other ||
	    address % page_size != args[4] % page_size ||
	    length > AREA_PAGES * page_size)
		complain(thread, "%#lx+%#lx is not memory of thread %u", address,
			 length, other);
}

static int call_mock(struct context *context, uint32_t op, uint32_t id,
		     struct iommu_test_cmd *args)
{
	args->size = sizeof(*args);
	args->op = op;
	args->id = id;
	return call(context->fd, IOMMU_TEST_CMD, args);
}

static int attach_to(struct shared_device *device, uint32_t *id)
{
	struct iommu_test_cmd args = { .mock_domain_replace.pt_id = *id };
	int ret;

	if (!device->mock)
		return device_attach(device->fd, id);
	ret = call_mock(device->context, IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
			device->mock_id, &args);
	if (!ret)
		device->mock_hwpt_id = *id = args.mock_domain_replace.pt_id;
	return ret;
}

/* The device is about to leave its IOAS or HWPT, and has done so or not */
static void begin_leave(struct shared_device *device)
{
	if (device->attached)
		begin_remove(device->attached, kind_of(device));
	if (device->hwpt)
		device->hwpt->sure_users--;
}

static void end_leave(struct shared_device *device, bool done)
{
	if (device->attached)
		end_remove(device->attached, kind_of(device), done);
	if (!done) {
		if (device->hwpt)
			device->hwpt->sure_users++;
		return;
	}
	if (device->hwpt)
		device->hwpt->users--;
	device->attached = NULL;
	device->hwpt = NULL;
}

static void attach_ioas(struct thread *thread, struct shared_device *device,
			struct ioas *ioas)
{
	bool replace = device->attached || device->hwpt;
	enum kind kind = kind_of(device);
	uint32_t id = ioas->id;
	bool done;
	int ret;

	begin_leave(device);
	begin_add(ioas, kind);
	ret = attach_to(device, &id);
	done = RESULT(thread, replace ? OP_REPLACE : OP_ATTACH, ret, 0);
	end_add(ioas, kind, done);
	end_leave(device, done);
	if (!done)
		return;
	device->attached = ioas;
	if (id == ioas->id)
		complain(thread, "the ID of the HWPT is that of the IOAS");
}

static void attach_hwpt(struct thread *thread, struct shared_device *device,
			struct hwpt *hwpt)
{
	bool replace = device->attached || device->hwpt;
	uint32_t id;
	int ret;

	pthread_mutex_lock(&hwpt->lock);
	id = hwpt->id ?: NO_ID;
	if (id == NO_ID || hwpt->kind != kind_of(device)) {
		ret = attach_to(device, &id);
		RESULT(thread, hwpt->id ? OP_ATTACH_OTHER_KIND :
			       replace ? OP_REPLACE : OP_ATTACH,
		       ret, hwpt->id ? EINVAL : ENOENT);
	} else {
		begin_leave(device);
		hwpt->users++;
		ret = attach_to(device, &id);
		if (RESULT(thread, replace ? OP_REPLACE : OP_ATTACH, ret, 0)) {
			end_leave(device, true);
			device->hwpt = hwpt;
			hwpt->sure_users++;
			if (id != hwpt->id)
				complain(thread, "HWPT %u, not %u", id, hwpt->id);
		} else {
			end_leave(device, false);
			hwpt->users--;
		}
	}
	pthread_mutex_unlock(&hwpt->lock);
}

static void attach(struct thread *thread, struct shared_device *device)
{
	const unsigned int *args = thread->args;
	uint32_t id = contexts[0].ioases[0].id;

	if (device->state == OPEN)
		RESULT(thread, OP_ATTACH, device_attach(device->fd, &id), EINVAL);
	if (device->state != BOUND)
		return;
	if (args[1] % 3 == 0)
		attach_hwpt(thread, device,
			    &device->context->hwpts[args[2] % NR_HWPTS]);
	else
		attach_ioas(thread, device,
			    &device->context->ioases[args[2] % NR_IOASES]);
}

/* Attach to a HWPT that a device of the other kind has allocated */
static void attach_other_kind(struct thread *thread,
			      struct shared_device *device)
{
	const unsigned int *args = thread->args;
	struct hwpt *hwpt;

	if (device->state != BOUND)
		return;
	hwpt = &device->context->hwpts[args[2] % NR_HWPTS];
	if (hwpt->kind != kind_of(device))
		attach_hwpt(thread, device, hwpt);
}

static void detach(struct thread *thread, struct shared_device *device)
{
	if (device->state != BOUND || device->mock)
		return;
	begin_leave(device);
	RESULT(thread, OP_DETACH, device_detach(device->fd), 0);
	end_leave(device, true);
}

static void hwpt_change(struct thread *thread, struct shared_device *device)
{
	const unsigned int *args = thread->args;
	struct hwpt *hwpt;
	bool done;
	int ret;

	if (device->state != BOUND)
		return;
	hwpt = &device->context->hwpts[args[1] % NR_HWPTS];
	pthread_mutex_lock(&hwpt->lock);
	if (!hwpt->id) {
		hwpt->ioas = &device->context->ioases[args[2] % NR_IOASES];
		hwpt->kind = kind_of(device);
		begin_add(hwpt->ioas, hwpt->kind);
		ret = hwpt_alloc(device->context->fd, device->id,
				 hwpt->ioas->id, &hwpt->id);
		done = RESULT(thread, OP_HWPT_ALLOC, ret, 0);
		if (!done)
			hwpt->id = 0;
		end_add(hwpt->ioas, hwpt->kind, done);
	} else {
		/* Others may detach meanwhile, but not attach */
		unsigned int before = hwpt->users;

		begin_remove(hwpt->ioas, hwpt->kind);
		ret = destroy(device->context->fd, hwpt->id);
		if (!before)
			done = RESULT(thread, OP_HWPT_DESTROY, ret, 0);
		else if (hwpt->sure_users)
			done = RESULT(thread, OP_HWPT_DESTROY, ret, EBUSY);
		else
			done = RESULT(thread, OP_HWPT_DESTROY, ret, 0, EBUSY);
		end_remove(hwpt->ioas, hwpt->kind, done);
		if (done)
			hwpt->id = 0;
	}
	pthread_mutex_unlock(&hwpt->lock);
}

/* An IOAS that lives for one operation, with a copy of an area of its own */
static void short_life(struct thread *thread, struct context *context)
{
	const unsigned int *args = thread->args;
	struct ioas *from = &context->ioases[args[1] % NR_IOASES];
	struct area *area = &from->areas[thread->index][args[2] % NR_AREAS];
	uint64_t iova = 0;
	uint32_t id;

	if (!RESULT(thread, OP_IOAS, ioas_alloc(context->fd, &id), 0))
		return;
	if (area->source)
		RESULT(thread, OP_COPY,
		       ioas_copy(context->fd, id, &iova, from->id, area->iova,
				 area->nr_pages * page_size, MAP_ANY), 0);
	RESULT(thread, OP_IOAS, destroy(context->fd, id), 0);
}

/* A mock device goes with its iommufd */
static void device_close(struct thread *thread, struct shared_device *device)
{
	begin_leave(device);
	if (!device->mock)
		RESULT(thread, OP_CLOSE, close(device->fd) ? -errno : 0, 0);
	else if (device->context->fd >= 0)
		RESULT(thread, OP_CLOSE,
		       destroy(device->context->fd, device->mock_id), 0);
	end_leave(device, true);
	device->state = CLOSED;
}

static void mock_create(struct thread *thread, struct shared_device *device,
			struct context *context)
{
	struct ioas *ioas = &context->ioases[thread->args[3] % NR_IOASES];
	struct iommu_test_cmd args = {};
	bool done;

	begin_add(ioas, KIND_IOMMU);
	done = RESULT(thread, OP_MOCK,
		      call_mock(context, IOMMU_TEST_OP_MOCK_DOMAIN, ioas->id, &args),
		      0);
	end_add(ioas, KIND_IOMMU, done);
	if (!done)
		return;
	device->mock_id = args.mock_domain.out_stdev_id;
	device->mock_hwpt_id = args.mock_domain.out_hwpt_id;
	device->id = args.mock_domain.out_idev_id;
	device->attached = ioas;
	device->context = context;
	device->state = BOUND;
}

/* Open, bind or close the device */
static void device_step(struct thread *thread, struct shared_device *device)
{
	const unsigned int *args = thread->args;
	bool forward = device->state == CLOSED || args[1] % 4;
	struct context *context;
	int ret;

	/* ACPI does not handle faults while it routes INTx */
	faults(thread, !device->device.intx);
	if (device->state == BOUND) {
		/* Most of the time the devices are in use */
		if (forward)
			goto out;
		context = device->context;
		pthread_rwlock_rdlock(&context->lock);
		device_close(thread, device);
		pthread_rwlock_unlock(&context->lock);
	} else if (!forward) {
		device_close(thread, device);
	} else if (device->mock) {
		context = &contexts[args[2] % NR_CONTEXTS];
		pthread_rwlock_rdlock(&context->lock);
		mock_create(thread, device, context);
		pthread_rwlock_unlock(&context->lock);
	} else if (device->state == CLOSED) {
		device->fd = open_file(device->device.node, O_RDWR);
		if (RESULT(thread, OP_OPEN, device->fd, 0))
			device->state = OPEN;
	} else {
		context = &contexts[args[2] % NR_CONTEXTS];
		pthread_rwlock_rdlock(&context->lock);
		ret = device_bind(device->fd, context->fd, &device->id);
		if (RESULT(thread, OP_BIND, ret, 0)) {
			device->state = BOUND;
			device->context = context;
			device->can_reset = device_can_reset(device->fd) == 1;
		}
		pthread_rwlock_unlock(&context->lock);
	}
out:
	faults(thread, true);
}

static void reset(struct thread *thread, struct shared_device *device)
{
	faults(thread, !device->device.intx);
	if (device->state != CLOSED && !device->mock)
		RESULT(thread, OP_RESET, device_reset(device->fd),
		       device->state == BOUND && device->can_reset ? 0 : EINVAL);
	faults(thread, true);
}

/* The group cannot be opened while the cdev is bound, and the other way round */
static void group(struct thread *thread, struct shared_device *device)
{
	uint32_t id;
	int fd;

	if (!device->device.group[0])
		return;
	faults(thread, false);
	fd = open_file(device->device.group, O_RDWR);
	if (RESULT(thread, OP_GROUP, fd, device->state == BOUND ? EBUSY : 0)) {
		if (device->state == OPEN)
			RESULT(thread, OP_BIND,
			       device_bind(device->fd, contexts[0].fd, &id),
			       EBUSY);
		close(fd);
	}
	faults(thread, true);
}

static void parameter(struct thread *thread)
{
	faults(thread, false);
	RESULT(thread, OP_PARAMETER,
	       pwrite(param_fd, thread->args[0] & 1 ? "Y" : "N", 1, 0) < 0 ?
		       -errno : 0, 0);
	faults(thread, true);
}

static void context_open(struct context *context)
{
	struct iommu_iova_range range = { MOCK_APERTURE_START, MOCK_APERTURE_LAST };
	struct iommu_ioas_allow_iovas allow = {
		.size = sizeof(allow),
		.num_iovas = 1,
		.allowed_iovas = (uintptr_t)&range,
	};
	unsigned int i;

	context->fd = open_file("/dev/iommu", O_RDWR);
	if (context->fd < 0)
		die("cannot open /dev/iommu: %s", strerror(-context->fd));
	for (i = 0; i < NR_IOASES; i++) {
		if (ioas_alloc(context->fd, &context->ioases[i].id))
			die("IOAS_ALLOC failed");
		allow.ioas_id = context->ioases[i].id;
		if (nr_mocks && call(context->fd, IOMMU_IOAS_ALLOW_IOVAS, &allow))
			die("ALLOW_IOVAS failed");
	}
}

/* The iommufd, its devices and its mappings go at once */
static void context_close(struct context *context)
{
	unsigned int i, j, k;

	for (i = 0; i < NR_HWPTS; i++)
		context->hwpts[i].id = 0;
	for (i = 0; i < NR_IOASES; i++) {
		struct ioas *ioas = &context->ioases[i];

		for (j = 0; j < NR_KINDS; j++)
			ioas->hwpts[j] = (struct count){};
		for (j = 0; j < nr_threads; j++)
			for (k = 0; k < NR_AREAS; k++)
				area_clear(&ioas->areas[j][k]);
	}
}

/* Close the iommufd before, between or after its devices, and open a new one */
static void restart(struct thread *thread, struct context *context)
{
	unsigned int when = thread->args[1] % (nr_devices + 1), i;

	faults(thread, false);
	for (i = 0; i < nr_devices; i++)
		pthread_mutex_lock(&devices[i].lock);
	pthread_rwlock_wrlock(&context->lock);
	for (i = 0; i <= nr_devices; i++) {
		if (i == when) {
			RESULT(thread, OP_RESTART, close(context->fd) ? -errno : 0,
			       0);
			context->fd = -1;
		}
		if (i < nr_devices && devices[i].state == BOUND &&
		    devices[i].context == context)
			device_close(thread, &devices[i]);
	}
	context_close(context);
	context_open(context);
	pthread_rwlock_unlock(&context->lock);
	for (i = 0; i < nr_devices; i++)
		pthread_mutex_unlock(&devices[i].lock);
	faults(thread, true);
}

/* Put another file in place of the one that other threads use */
static int replace_file(int fd, const char *path)
{
	int new = open_file(path, O_RDWR);

	if (new < 0)
		return new;
	if (dup3(new, fd, O_CLOEXEC) < 0)
		die("dup3 failed: %s", strerror(errno));
	close(new);
	return 0;
}

static bool is_wild_page(uint64_t address)
{
	int page = find_page(address);

	/* The memory after that of the last thread */
	return page >= 0 && page % (nr_pages / 2) / THREAD_PAGES == nr_threads;
}

static void wild_call(struct thread *thread)
{
	const unsigned int *args = thread->args;
	struct thread owner = { .index = nr_threads };
	uint32_t id = 1 + args[0] % NR_WILD_IDS, id2 = 1 + args[1] % NR_WILD_IDS;
	uint64_t iova = args[2] % NR_WILD_IOVAS * AREA_PAGES * page_size;
	uint64_t iova2 = args[3] % NR_WILD_IOVAS * AREA_PAGES * page_size;
	uint64_t length = (1 + args[4] % AREA_PAGES) * page_size;
	unsigned int page = args[5] % (THREAD_PAGES - AREA_PAGES);
	struct iommu_ioas_change_process change = { .size = sizeof(change) };
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = id,
		.val64 = args[1] % 2,
	};
	struct iommu_noiommu_extent extents[8] = {};
	uint64_t address;
	int ret, i;

	switch (thread->op) {
	case WILD_MAP:
		ret = ioas_map(wild, id, page_va(anonymous_page(&owner, page)),
			       length, &iova, MAP_AT);
		RESULT(thread, WILD_MAP, ret, 0, ENOENT, EEXIST);
		return;
	case WILD_MAP_FILE:
		ret = map_file(wild, id, memfd_page(&owner, page), length, &iova);
		RESULT(thread, WILD_MAP_FILE, ret, 0, ENOENT, EEXIST);
		return;
	case WILD_COPY:
		ret = ioas_copy(wild, id, &iova, id2, iova2, length, MAP_AT);
		RESULT(thread, WILD_COPY, ret, 0, ENOENT, EEXIST);
		return;
	case WILD_UNMAP:
		if (args[5] % 8 == 0) {
			iova = 0;
			length = UINT64_MAX;
		}
		ret = ioas_unmap(wild, id, iova, &length);
		RESULT(thread, WILD_UNMAP, ret, 0, ENOENT, EBUSY);
		return;
	case WILD_GET_PA:
		length = UINT64_MAX;
		ret = get_pa(wild, id, iova + args[5] % page_size, &length,
			     &address);
		if (RESULT(thread, WILD_GET_PA, ret, 0, ENOENT, EOPNOTSUPP) &&
		    (!is_wild_page(address) ||
		     !is_wild_page(address + length - 1) ||
		     address % page_size != args[5] % page_size))
			complain(thread, "%#lx+%#lx", address, length);
		return;
	case WILD_GET_PA_ARRAY:
		length = UINT64_MAX;
		ret = get_pa_array(wild, id, iova, &length, extents,
				   ARRAY_SIZE(extents));
		if (RESULT(thread, WILD_GET_PA_ARRAY, ret, 0, ENOENT, EOPNOTSUPP))
			for (i = 0; i < ret; i++)
				if (!is_wild_page(extents[i].phys) ||
				    !is_wild_page(extents[i].phys +
						  extents[i].length - 1))
					complain(thread, "%#llx+%#llx",
						 extents[i].phys,
						 extents[i].length);
		return;
	case WILD_ATTACH:
		RESULT(thread, WILD_ATTACH, device_attach(wild_fd, &id), 0,
		       ENOENT, EINVAL);
		return;
	case WILD_DETACH:
		RESULT(thread, WILD_DETACH, device_detach(wild_fd), 0, EINVAL);
		return;
	case WILD_HWPT_ALLOC:
		ret = hwpt_alloc(wild, id, id2, &id);
		RESULT(thread, WILD_HWPT_ALLOC, ret, 0, ENOENT, EINVAL,
		       EOPNOTSUPP);
		return;
	case WILD_DESTROY:
		RESULT(thread, WILD_DESTROY, destroy(wild, id), 0, ENOENT, EBUSY);
		return;
	case WILD_IOAS_ALLOC:
		RESULT(thread, WILD_IOAS_ALLOC, ioas_alloc(wild, &id), 0);
		return;
	case WILD_BIND:
		RESULT(thread, WILD_BIND, device_bind(wild_fd, wild, &id), 0,
		       EINVAL);
		return;
	case WILD_RESET:
		RESULT(thread, WILD_RESET, device_reset(wild_fd), 0, EINVAL);
		return;
	case WILD_REOPEN:
		RESULT(thread, WILD_REOPEN,
		       replace_file(wild_fd, wild_device.node), 0);
		return;
	case WILD_NEW_IOMMUFD:
		RESULT(thread, WILD_NEW_IOMMUFD, replace_file(wild, "/dev/iommu"),
		       0);
		return;
	case WILD_CHANGE_PROCESS:
		ret = call(wild, IOMMU_IOAS_CHANGE_PROCESS, &change);
		if (on_6_12)
			RESULT(thread, WILD_CHANGE_PROCESS, ret, ENOTTY);
		else
			RESULT(thread, WILD_CHANGE_PROCESS, ret, 0, EINVAL, EBUSY);
		return;
	case WILD_OPTION:
		ret = call(wild, IOMMU_OPTION, &option);
		RESULT(thread, WILD_OPTION, ret, 0, ENOENT, EINVAL);
		return;
	default:
		abort();
	}
}

static void with_device(struct thread *thread)
{
	struct shared_device *device = &devices[thread->args[0] % nr_devices];
	struct context *context = NULL;

	pthread_mutex_lock(&device->lock);
	if (thread->op == OP_OPEN) {
		device_step(thread, device);
	} else {
		if (device->state == BOUND) {
			context = device->context;
			pthread_rwlock_rdlock(&context->lock);
		}
		switch (thread->op) {
		case OP_ATTACH: attach(thread, device); break;
		case OP_ATTACH_OTHER_KIND: attach_other_kind(thread, device); break;
		case OP_DETACH: detach(thread, device); break;
		case OP_HWPT_ALLOC: hwpt_change(thread, device); break;
		case OP_RESET: reset(thread, device); break;
		case OP_GROUP: group(thread, device); break;
		default: abort();
		}
		if (context)
			pthread_rwlock_unlock(&context->lock);
	}
	pthread_mutex_unlock(&device->lock);
}

static void operate(struct thread *thread)
{
	struct context *context = &contexts[thread->args[0] % NR_CONTEXTS];

	switch (thread->op) {
	case OP_PARAMETER:
		parameter(thread);
		return;
	case OP_RESTART:
		restart(thread, context);
		return;
	case OP_ATTACH:
	case OP_ATTACH_OTHER_KIND:
	case OP_DETACH:
	case OP_HWPT_ALLOC:
	case OP_OPEN:
	case OP_RESET:
	case OP_GROUP:
		with_device(thread);
		return;
	default:
		break;
	}
	if (thread->op >= WILD_MAP) {
		wild_call(thread);
		return;
	}
	pthread_rwlock_rdlock(&context->lock);
	switch (thread->op) {
	case OP_MAP:
	case OP_MAP_ANYWHERE:
	case OP_MAP_FILE: map(thread, context); break;
	case OP_COPY: copy(thread, context); break;
	case OP_UNMAP: unmap(thread, context); break;
	case OP_GET_PA: query(thread, context); break;
	case OP_GET_PA_ARRAY: query_array(thread, context); break;
	case OP_GET_PA_OTHER: query_other(thread, context); break;
	case OP_IOAS: short_life(thread, context); break;
	default: abort();
	}
	pthread_rwlock_unlock(&context->lock);
}

/* A new iommufd and device for the calls without a model, in use from the start */
static void wild_start(void)
{
	struct thread owner = { .index = nr_threads };
	uint64_t length = AREA_PAGES * page_size, iova;
	uint32_t ids[3], i;

	replace_file(wild, "/dev/iommu");
	replace_file(wild_fd, wild_device.node);
	if (ioas_alloc(wild, &ids[0]) || ioas_alloc(wild, &ids[1]) ||
	    device_bind(wild_fd, wild, &ids[2]))
		die("cannot bind %s", wild_device.bdf);
	for (i = 0; i < 2; i++) {
		iova = i * length;
		if (ioas_map(wild, ids[i], page_va(anonymous_page(&owner, i)),
			     length, &iova, MAP_AT))
			die("cannot map memory");
	}
	if (device_attach(wild_fd, &ids[0]))
		die("cannot attach %s", wild_device.bdf);
}

/* Call @visit with each area of an IOAS that has a HWPT: its pages are pinned */
static void for_each_pinned(void (*visit)(struct area *area))
{
	unsigned int i, j, k, l;

	for (i = 0; i < NR_CONTEXTS; i++)
		for (j = 0; j < NR_IOASES; j++) {
			struct ioas *ioas = &contexts[i].ioases[j];

			if (!ioas->hwpts[KIND_IOMMU].sure &&
			    !ioas->hwpts[KIND_NOIOMMU].sure)
				continue;
			for (k = 0; k < nr_threads; k++)
				for (l = 0; l < NR_AREAS; l++)
					if (ioas->areas[k][l].source)
						visit(&ioas->areas[k][l]);
		}
}

static unsigned int nr_pinned;

static void forget_audit(struct area *area)
{
	area->source->audited = 0;
}

/* Areas that share a source share its pins */
static void count_pins(struct area *area)
{
	uint32_t pages = ((1U << area->nr_pages) - 1) << area->offset;

	nr_pinned += __builtin_popcount(pages & ~area->source->audited);
	area->source->audited |= pages;
}

/* The mock IOMMU has the same pages as the model */
static void check_mock(struct shared_device *device)
{
	struct ioas *ioas = device->attached ?: device->hwpt->ioas;
	unsigned int i, j;
	int ret;

	for (i = 0; i < nr_threads; i++)
		for (j = 0; j < NR_AREAS; j++) {
			struct area *area = &ioas->areas[i][j];
			struct iommu_test_cmd args = {};

			if (!area->source)
				continue;
			args.check_map.iova = area->iova;
			args.check_map.length = area->nr_pages * page_size;
			args.check_map.uptr = (uintptr_t)page_va(first_page(area));
			ret = call_mock(device->context, IOMMU_TEST_OP_MD_CHECK_MAP,
					device->mock_hwpt_id, &args);
			nr_mock_areas++;
			if (!ret)
				continue;
			nr_wrong_audits++;
			printf("# audit %u: %#lx of the mock IOMMU: %s\n", nr_audits,
			       area->iova, errno_name(-ret));
		}
}

/* All other threads wait */
static void audit(struct thread *thread)
{
	struct usage want = with_keeper, now;
	unsigned int page, i;
	time_t end = time(NULL) + 20;

	faults(thread, false);
	replace_file(wild_fd, wild_device.node);
	replace_file(wild, "/dev/iommu");

	nr_pinned = 0;
	for_each_pinned(forget_audit);
	for_each_pinned(count_pins);
	want.pins += nr_pinned;
	want.vm_pin += nr_pinned;
	do {
		now = usage_now();
	} while ((now.pins != want.pins || now.vm_pin != want.vm_pin) &&
		 time(NULL) < end);
	if (now.pins != want.pins || now.vm_pin != want.vm_pin) {
		nr_wrong_audits++;
		printf("# audit %u: %ld pins, %ld pages charged, not %ld and %ld\n",
		       nr_audits, now.pins, now.vm_pin, want.pins, want.vm_pin);
	}
	for (i = 0; i < nr_devices; i++)
		if (devices[i].mock && devices[i].state == BOUND)
			check_mock(&devices[i]);
	for (page = 0; page < nr_pages; page++)
		if (!content_is(phys[page], page, 0) ||
		    !content_is(phys[page] + page_size - 8, page,
				page_size / 8 - 1)) {
			nr_wrong_pages++;
			printf("# audit %u: the contents of page %u are wrong\n",
			       nr_audits, page);
		}
	nr_audits++;
	finished = nr_errors || nr_wrong_audits || nr_wrong_pages ||
		   (seconds ? time(NULL) >= started + (time_t)seconds :
			      thread->number * nr_threads >= nr_operations);
	wild_start();
	faults(thread, true);
}

static enum op choose(unsigned int number)
{
	static unsigned int sum;
	unsigned int i;

	if (!sum)
		for (i = 0; i < NR_OPS; i++)
			sum += weights[i];
	number %= sum;
	for (i = 0; number >= weights[i]; i++)
		number -= weights[i];
	return i;
}

static void *run(void *arg)
{
	struct thread *thread = arg;
	unsigned int i;

	if (with_faults) {
		thread->fault_fd = open_file("/proc/thread-self/make-it-fail",
					     O_WRONLY);
		if (thread->fault_fd < 0)
			die("cannot open make-it-fail: %s",
			    strerror(-thread->fault_fd));
	}
	faults(thread, true);
	while (!finished) {
		/* As many random numbers for each operation, whatever it does */
		thread->op = choose(random_next(&thread->random) >> 32);
		for (i = 0; i < ARRAY_SIZE(thread->args); i++)
			thread->args[i] = random_next(&thread->random) >> 33;
		if (progress) {
			progress->op = thread->op;
			progress->operations++;
		}
		operate(thread);
		if (++thread->number % audit_after)
			continue;
		pthread_barrier_wait(&barrier);
		if (!thread->index)
			audit(thread);
		pthread_barrier_wait(&barrier);
	}
	faults(thread, false);
	return NULL;
}

static int by_phys(const void *a, const void *b)
{
	const struct frame *left = a, *right = b;

	return left->phys < right->phys ? -1 : left->phys > right->phys;
}

/* Memory whose pages are not all contiguous, with contents that differ */
static void make_memory(void)
{
	unsigned int half, page, word, step;

	nr_pages = (nr_threads + 1) * THREAD_PAGES * 2;
	half = nr_pages / 2;
	anonymous = map_memory(half * page_size, MAP_PRIVATE);
	memory_fd = memfd_create("stress", MFD_CLOEXEC);
	if (ftruncate(memory_fd, half * page_size))
		die("ftruncate failed: %s", strerror(errno));
	memfd = mmap(NULL, half * page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     memory_fd, 0);
	if (memfd == MAP_FAILED)
		die("mmap failed: %s", strerror(errno));
	madvise(anonymous, half * page_size, MADV_NOHUGEPAGE);
	for (step = 0; step < 3; step++)
		for (page = step; page < nr_pages; page += 3) {
			uint64_t *words = (uint64_t *)page_va(page);

			for (word = 0; word < page_size / 8; word++)
				words[word] = pattern(page, word);
		}
}

static void find_frames(void)
{
	const uint64_t half = nr_pages / 2 * page_size;
	struct iommu_noiommu_extent extents[64];
	uint64_t iova = 0, length, i;
	int nr, j;

	for (iova = 0; iova < 2 * half; iova += length) {
		length = 2 * half - iova;
		nr = get_pa_array(keeper, keeper_ioas, iova, &length, extents,
				  ARRAY_SIZE(extents));
		if (nr < 0)
			die("GET_PA of the memory failed: %s", strerror(-nr));
		for (i = iova / page_size, j = 0; j < nr; j++)
			for (; extents[j].length; extents[j].length -= page_size) {
				phys[i++] = extents[j].phys;
				extents[j].phys += page_size;
			}
	}
}

/* The first device pins all memory from the start to the end */
static void keep_memory(void)
{
	const uint64_t half = nr_pages / 2 * page_size;
	uint64_t iova = 0, iova2 = half;
	unsigned int page;
	uint32_t id;

	keeper = open_file("/dev/iommu", O_RDWR);
	keeper_fd = open_file(keeper_device.node, O_RDWR);
	if (keeper < 0 || keeper_fd < 0 ||
	    device_bind(keeper_fd, keeper, &id) || ioas_alloc(keeper, &keeper_ioas))
		die("cannot bind %s", keeper_device.bdf);
	id = keeper_ioas;
	if (device_attach(keeper_fd, &id) ||
	    ioas_map(keeper, keeper_ioas, anonymous, half, &iova, MAP_AT) ||
	    map_file(keeper, keeper_ioas, nr_pages / 2, half, &iova2))
		die("cannot map the memory for %s", keeper_device.bdf);
	phys = calloc(nr_pages, sizeof(*phys));
	frames = calloc(nr_pages, sizeof(*frames));
	find_frames();
	for (page = 0; page < nr_pages; page++) {
		if (phys[page] != pagemap_phys(page_va(page)))
			die("GET_PA of page %u differs from pagemap", page);
		frames[page].phys = phys[page];
		frames[page].page = page;
	}
	qsort(frames, nr_pages, sizeof(*frames), by_phys);
}

static bool memory_stayed(void)
{
	uint64_t *before = phys;
	bool same;

	phys = calloc(nr_pages, sizeof(*phys));
	find_frames();
	same = !memcmp(before, phys, nr_pages * sizeof(*phys));
	free(before);
	return same;
}

static void set_up(char **bdfs, unsigned int nr)
{
	pthread_rwlockattr_t attr;
	unsigned int i, j;

	device_find(&keeper_device, bdfs[0]);
	device_find(&wild_device, bdfs[1]);
	if (!keeper_device.noiommu || !wild_device.noiommu)
		die("the first two devices must be noiommu devices");
	/* Any thread can be the last one to use it, and so close it */
	if (with_faults && wild_device.intx)
		die("%s must have no INTx, as ACPI does not handle faults",
		    wild_device.bdf);
	param_fd = open_file(PARAMETER, O_RDWR);
	devmem_fd = open_file("/dev/mem", O_RDONLY);
	if (param_fd < 0 || devmem_fd < 0)
		die("cannot open " PARAMETER " and /dev/mem");
	make_memory();
	keep_memory();
	with_keeper = usage_now();

	wild = open_file("/dev/iommu", O_RDWR);
	wild_fd = open_file(wild_device.node, O_RDWR);
	if (wild < 0 || wild_fd < 0)
		die("cannot open %s", wild_device.node);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (i = 0; i < NR_CONTEXTS; i++) {
		pthread_rwlock_init(&contexts[i].lock, &attr);
		for (j = 0; j < NR_IOASES; j++)
			pthread_mutex_init(&contexts[i].ioases[j].lock, NULL);
		for (j = 0; j < NR_HWPTS; j++)
			pthread_mutex_init(&contexts[i].hwpts[j].lock, NULL);
		context_open(&contexts[i]);
	}
	nr_devices = nr - 2 + nr_mocks;
	for (i = 0; i < nr_devices; i++) {
		if (i < nr - 2) {
			device_find(&devices[i].device, bdfs[i + 2]);
		} else {
			devices[i].device.bdf = "a mock device";
			devices[i].mock = true;
			devices[i].fd = -1;
		}
		pthread_mutex_init(&devices[i].lock, NULL);
	}
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		threads[i].index = i;
		threads[i].random.state = seed * MAX_THREADS + i;
	}
}

/* All devices are attached when the threads start */
static void start_devices(void)
{
	struct thread *thread = &threads[0];
	bool later = with_faults;
	unsigned int i;

	with_faults = false;
	for (i = 0; i < nr_devices; i++) {
		struct shared_device *device = &devices[i];

		thread->args[1] = 1;
		thread->args[2] = i;
		device_step(thread, device);
		device_step(thread, device);
		if (device->state != BOUND)
			die("cannot bind %s", device->device.bdf);
		attach_ioas(thread, device,
			    &device->context->ioases[i / NR_CONTEXTS % NR_IOASES]);
	}
	with_faults = later;
	wild_start();
}

static void tear_down(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].state != CLOSED)
			close(devices[i].fd);
	for (i = 0; i < NR_CONTEXTS; i++)
		close(contexts[i].fd);
	close(wild_fd);
	close(wild);
	if (pwrite(param_fd, "Y", 1, 0) != 1)
		die("cannot write " PARAMETER);
}

static uint64_t counted(enum op op, int error)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < nr_threads; i++)
		sum += threads[i].counts[op][error];
	return sum;
}

static void print_counts(void)
{
	uint64_t count, calls = 0;
	unsigned int op, error;

	for (op = 0; op < NR_OPS; op++) {
		printf("# %-26s", op_names[op]);
		for (error = 0; error < 134; error++) {
			count = counted(op, error);
			if (count)
				printf("  %s %lu", errno_name(error), count);
			calls += count;
		}
		printf("\n");
	}
	printf("# %lu calls\n", calls);
}

/* A result that no operation had means that something is not tested */
static bool all_results_seen(void)
{
	static const struct {
		enum op op;
		int error;
	} wanted[] = {
		{ OP_MAP, 0 }, { OP_MAP, EEXIST }, { OP_MAP_ANYWHERE, 0 },
		{ OP_MAP_FILE, 0 }, { OP_COPY, 0 }, { OP_COPY, EEXIST },
		{ OP_COPY, ENOENT }, { OP_UNMAP, 0 }, { OP_UNMAP, ENOENT },
		{ OP_GET_PA, 0 }, { OP_GET_PA, ENOENT },
		{ OP_GET_PA, EOPNOTSUPP }, { OP_GET_PA_ARRAY, 0 },
		{ OP_GET_PA_OTHER, 0 }, { OP_ATTACH, 0 }, { OP_REPLACE, 0 },
		{ OP_REPLACE, ENOENT }, { OP_DETACH, 0 }, { OP_HWPT_ALLOC, 0 },
		{ OP_HWPT_DESTROY, 0 }, { OP_HWPT_DESTROY, EBUSY },
		{ OP_IOAS, 0 }, { OP_OPEN, 0 }, { OP_BIND, 0 }, { OP_CLOSE, 0 },
		{ OP_RESET, 0 }, { OP_PARAMETER, 0 }, { OP_RESTART, 0 },
		{ WILD_MAP, 0 }, { WILD_UNMAP, 0 }, { WILD_ATTACH, 0 },
		{ WILD_BIND, 0 }, { WILD_DESTROY, 0 }, { WILD_DESTROY, EBUSY },
	};
	bool kinds[NR_KINDS] = {}, all = nr_contents && (!nr_mocks || nr_mock_areas);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!counted(wanted[i].op, wanted[i].error)) {
			printf("# never: %s: %s\n", op_names[wanted[i].op],
			       errno_name(wanted[i].error));
			all = false;
		}
	for (i = 0; i < nr_devices; i++)
		kinds[kind_of(&devices[i])] = true;
	if (kinds[KIND_IOMMU] && kinds[KIND_NOIOMMU] &&
	    !counted(OP_ATTACH_OTHER_KIND, EINVAL)) {
		printf("# never: %s\n", op_names[OP_ATTACH_OTHER_KIND]);
		all = false;
	}
	return all;
}

static void use_progress(int fd)
{
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	if (progress == MAP_FAILED)
		die("cannot map the file descriptor %d", fd);
}

static void parse_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "6a:d:fm:o:p:s:t:")) >= 0)
		switch (option) {
		case '6': on_6_12 = true; break;
		case 'a': audit_after = number_of(optarg); break;
		case 'd': seconds = number_of(optarg); break;
		case 'f': with_faults = true; break;
		case 'm': nr_mocks = number_of(optarg); break;
		case 'o': nr_operations = number_of(optarg); break;
		case 'p': use_progress(number_of(optarg)); break;
		case 's': seed = number_of(optarg); break;
		case 't': nr_threads = number_of(optarg); break;
		default:
			die("usage: stress [-o operations | -d seconds] [-s seed] [-t threads] [-a operations per thread between audits] [-f | -m mock devices] DEVICE...");
		}
	if (!nr_threads || nr_threads > MAX_THREADS || !audit_after)
		die("1 to %u threads, an audit after 1 or more operations",
		    MAX_THREADS);
	if (argc - optind < 3 || argc - optind + nr_mocks > MAX_DEVICES)
		die("3 to %u devices", MAX_DEVICES);
	if (with_faults && nr_mocks)
		die("mock devices do not handle faults");
	if (nr_mocks) {
		/* In the aperture of the mock IOMMU */
		window = 64 << 20;
		first_window = (1 << 30) - window / 2;
	}
}

int main(int argc, char **argv)
{
	uint64_t operations = 0;
	struct usage before;
	unsigned int i;

	page_size = getpagesize();
	parse_options(argc, argv);
	ktap_start(with_faults ? 4 : 5);
	before = usage_now();
	started = time(NULL);
	set_up(argv + optind, argc - optind);
	start_devices();
	for (i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i].pthread, NULL, run, &threads[i]))
			die("cannot create a thread");
	for (i = 0; i < nr_threads; i++) {
		pthread_join(threads[i].pthread, NULL);
		operations += threads[i].number;
	}
	tear_down();

	print_counts();
	printf("# seed %lu, %u threads, %u devices, %lu operations, %u audits, %ld seconds\n",
	       seed, nr_threads, nr_devices, operations, nr_audits,
	       time(NULL) - started);
	if (nr_mocks)
		printf("# %u areas compared in the mock IOMMU\n", nr_mock_areas);
	ktap(!nr_errors, "each result is permitted (replay: -s %lu -t %u -o %lu)",
	     seed, nr_threads, operations);
	ktap(nr_audits && !nr_wrong_audits, "the pins and the charge match the mappings");
	ktap(nr_audits && !nr_wrong_pages && memory_stayed(),
	     "the memory keeps its addresses and contents");
	if (!with_faults)
		ktap(all_results_seen(), "each operation had each of its results");
	close(keeper_fd);
	close(keeper);
	ktap(usage_becomes(before), "nothing is left");
	return ktap_end();
}
