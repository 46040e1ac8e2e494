/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the benchmarks in the guest: time, samples, and kinds of memory.
 *
 * Every result is a line of JSON on standard output. A failure or a wrong result
 * ends the program with a line on standard error and exit status 1.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIB (1UL << 20)
#define GIB (1UL << 30)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Memory of one kind, touched in random order so that it is scattered */
struct memory {
	const char *kind;	/* 4k, thp, 2m, 1g */
	char *addr;
	size_t length;
	size_t page;		/* expected page size */
	int fd;			/* of the memfd, for hugetlb; else -1 */
};

/* Times of one measure, one per repetition */
struct samples {
	unsigned int num;
	double ns[2000];
};

void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void);
uint64_t random_below(uint64_t limit);

void add_sample(struct samples *samples, double ns);

/* @count: operations per sample */
void print_samples(const char *measure, const char *kind, size_t bytes,
		   uint64_t count, const struct samples *samples);

struct memory alloc_memory(const char *kind, size_t length);

#endif /* GUEST_H */
