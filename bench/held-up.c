// SPDX-License-Identifier: GPL-2.0-only
/*
 * held-up DEVICE SECONDS: measure a map and an unmap of one page while another
 * thread keeps the same IOAS busy.
 *
 * The other thread uses 1 GiB that is physically contiguous, but mapped one page
 * off its alignment. Only entries of 4 KiB fit, 262,144 of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "guest.h"
#include "ioas.h"

#define PAGE	4096UL

static struct memory mem, page;
static uint64_t mem_iova, other_iova;
static atomic_bool stop;
static struct samples rounds;	/* of the other thread's call */
static atomic_bool running;
static uint32_t ns[1 << 20];	/* of each map and unmap */

static void long_walk(unsigned long cmd)
{
	struct noiommu_get_pa_extent extent;

	get_extent(cmd, mem_iova, mem.length, &extent);
	if (extent.length != mem.length)
		fail("an extent of %llu bytes is not long",
		     (unsigned long long)extent.length);
}

static void get_pa(void)
{
	long_walk(IOMMU_IOAS_NOIOMMU_GET_PA);
}

static void naive(void)
{
	long_walk(IOMMU_IOAS_NOIOMMU_BENCH_NAIVE);
}

static void map_unmap(void)
{
	ioas_map(mem.addr, mem.length, other_iova);
	ioas_unmap(other_iova, mem.length);
}

/* Fill a second HWPT with the mappings of the IOAS, as attaching a device does */
static void hwpt_alloc(void)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.dev_id = device.dev_id,
		.pt_id = iommu.ioas_id,
	};
	struct iommu_destroy destroy = { .size = sizeof(destroy) };

	if (ioctl(iommu.fd, IOMMU_HWPT_ALLOC, &alloc))
		fail("IOMMU_HWPT_ALLOC: %s", strerror(errno));
	destroy.id = alloc.out_hwpt_id;
	if (ioctl(iommu.fd, IOMMU_DESTROY, &destroy))
		fail("IOMMU_DESTROY: %s", strerror(errno));
}

static const struct load {
	const char *name;
	void (*run)(void);
} loads[] = {
	{ "alone", NULL },
	{ "get_pa", get_pa },
	{ "naive", naive },
	{ "map_unmap", map_unmap },
	{ "hwpt_alloc", hwpt_alloc },
};

static void *other_thread(void *arg)
{
	const struct load *load = arg;
	uint64_t start;

	while (!stop) {
		start = now_ns();
		load->run();
		if (rounds.num < ARRAY_SIZE(rounds.ns))
			add_sample(&rounds, now_ns() - start);
		running = true;
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_quantiles(const char *load, size_t num)
{
	static const double parts[] = { 0, 0.5, 0.9, 0.99, 0.999, 1 };
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < num; i++)
		sum += ns[i];
	qsort(ns, num, sizeof(ns[0]), compare);
	printf("{\"measure\":\"held_up\",\"kind\":\"%s\",\"bytes\":%zu,\"count\":%zu,\"mean_ns\":%llu,\"quantiles_ns\":[",
	       load, mem.length, num, (unsigned long long)(sum / num));
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		printf("%s%u", i ? "," : "", ns[(size_t)((num - 1) * parts[i])]);
	printf("]}\n");
}

static void measure(const struct load *load, uint64_t duration)
{
	uint64_t end, start;
	pthread_t thread;
	size_t num = 0;

	rounds.num = 0;
	stop = false;
	running = !load->run;
	if (load->run &&
	    pthread_create(&thread, NULL, other_thread, (void *)load))
		fail("cannot create a thread");
	while (!running)
		sched_yield();
	end = now_ns() + duration;
	while (now_ns() < end && num < ARRAY_SIZE(ns)) {
		start = now_ns();
		ioas_map(page.addr, PAGE, (uintptr_t)page.addr);
		ioas_unmap((uintptr_t)page.addr, PAGE);
		ns[num++] = now_ns() - start;
	}
	stop = true;
	if (load->run)
		pthread_join(thread, NULL);
	print_quantiles(load->name, num);
	print_samples("held_up_by", load->name, mem.length, 1, &rounds);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 3)
		fail("usage: held-up DEVICE SECONDS");
	open_device(argv[1]);
	mem = alloc_memory("1g", GIB);
	page = alloc_memory("4k", PAGE);
	mem_iova = (uintptr_t)mem.addr + PAGE;
	other_iova = mem_iova + 4 * GIB;
	ioas_map(mem.addr, mem.length, mem_iova);
	for (i = 0; i < ARRAY_SIZE(loads); i++)
		measure(&loads[i], strtoul(argv[2], NULL, 0) * 1000000000);
	return 0;
}
