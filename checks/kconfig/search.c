// SPDX-License-Identifier: GPL-2.0
/*
 * search SYMBOL...: print, for each combination of values of these symbols, a line "REQUEST: RESULT" of
 * SYMBOL=value pairs. REQUEST is the combination, RESULT what "make olddefconfig" makes of it, on top of
 * the configuration KCONFIG_CONFIG. A symbol after "--" is printed in RESULT only. Symbols that this tree does
 * not have are skipped.
 *
 * Linked with the objects of scripts/kconfig, and run in an environment like that of conf.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "lkc.h"

#define MAX 32

static const char value_names[] = "nmy";
static const char *names[MAX];
static struct symbol *symbols[MAX];
static struct symbol *nearby[4096]; /* of drivers/iommu and drivers/vfio */
static int nearby_count;

static void print(int i, tristate value)
{
	printf(" %s=%c", names[i], value_names[value]);
}

static void forget_expr(struct expr *e)
{
	if (!e)
		return;
	e->val_is_valid = false;
	if (e->type == E_AND || e->type == E_OR || e->type == E_NOT)
		forget_expr(e->left.expr);
	if (e->type == E_AND || e->type == E_OR)
		forget_expr(e->right.expr);
}

/* sym_clear_all_valid() for one symbol: that function takes a hundred times as long as the rest */
static void forget(struct symbol *sym)
{
	struct property *prop;

	sym->flags &= ~SYMBOL_VALID;
	forget_expr(sym->dir_dep.expr);
	forget_expr(sym->rev_dep.expr);
	forget_expr(sym->implied.expr);
	for (prop = sym->prop; prop; prop = prop->next) {
		forget_expr(prop->visible.expr);
		forget_expr(prop->expr);
	}
}

static void evaluate(int requests, int count)
{
	int i;

	for (i = 0; i < nearby_count; i++)
		forget(nearby[i]);
	/* Prints a warning if a dependency is not met */
	for (i = 0; i < nearby_count; i++)
		sym_calc_value(nearby[i]);

	for (i = 0; i < requests; i++)
		if (symbols[i])
			print(i, symbols[i]->def[S_DEF_USER].tri);
	putchar(':');
	for (i = 0; i < count; i++)
		if (symbols[i])
			print(i, sym_get_tristate_value(symbols[i]));
	putchar('\n');
}

/* Request each combination of the symbols from @i on */
static void combine(int i, int requests, int count)
{
	tristate value;

	if (i == requests) {
		evaluate(requests, count);
		return;
	}
	if (!symbols[i]) {
		combine(i + 1, requests, count);
		return;
	}
	symbols[i]->flags |= SYMBOL_DEF_USER;
	for (value = no; value <= yes; value++) {
		if (value == mod && symbols[i]->type == S_BOOLEAN)
			continue;
		symbols[i]->def[S_DEF_USER].tri = value;
		combine(i + 1, requests, count);
	}
}

static void find_nearby(void)
{
	struct symbol *sym;
	struct menu *menu;

	for_all_symbols(sym) {
		list_for_each_entry(menu, &sym->menus, link) {
			if (strncmp(menu->filename, "drivers/iommu/", 14) &&
			    strncmp(menu->filename, "drivers/vfio/", 13))
				continue;
			if (nearby_count == sizeof(nearby) / sizeof(nearby[0]))
				abort();
			nearby[nearby_count++] = sym;
			break;
		}
	}
}

int main(int argc, char **argv)
{
	int i, requests = -1, count = 0;

	conf_parse("Kconfig");
	if (conf_read(NULL)) {
		fprintf(stderr, "cannot read the configuration\n");
		return 1;
	}

	for (i = 1; i < argc && count < MAX; i++) {
		if (!strcmp(argv[i], "--")) {
			requests = count;
			continue;
		}
		names[count] = argv[i];
		symbols[count] = sym_find(argv[i]);
		/* A symbol that is only referred to has no type */
		if (symbols[count] && symbols[count]->type == S_UNKNOWN)
			symbols[count] = NULL;
		count++;
	}
	find_nearby();
	combine(0, requests < 0 ? count : requests, count);
	return 0;
}
