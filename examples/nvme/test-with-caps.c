// SPDX-License-Identifier: GPL-2.0-only
/* test-with-caps <bits> <command>...: run a command with only these capabilities */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned long bits, capability;

	if (argc < 3) {
		fprintf(stderr, "usage: %s <bits> <command>...\n", argv[0]);
		return 2;
	}
	bits = strtoul(argv[1], NULL, 0);
	/* execvp() drops capabilities outside the bounding set, also for root */
	for (capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		if (!(bits >> capability & 1) &&
		    prctl(PR_CAPBSET_DROP, capability)) {
			perror("PR_CAPBSET_DROP");
			return 2;
		}
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}
