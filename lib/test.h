/* SPDX-License-Identifier: GPL-2.0-only */
/* KTAP for the unit tests */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct test {
	const char *name;
	bool (*run)(void);
};

/* On failure, returns from the test function */
#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			printf("# %s:%d: %s\n", __FILE__, __LINE__,	\
			       #condition);				\
			return false;					\
		}							\
	} while (0)

static inline int run_tests(const struct test *tests, size_t nr)
{
	bool ok, all = true;
	size_t i;

	printf("KTAP version 1\n1..%zu\n", nr);
	for (i = 0; i < nr; i++) {
		ok = tests[i].run();
		all = all && ok;
		printf("%sok %zu %s\n", ok ? "" : "not ", i + 1, tests[i].name);
	}
	return all ? 0 : 1;
}

#endif /* TEST_H */
