# SPDX-License-Identifier: GPL-2.0

export LINUX INPUT SCENARIO MUTANT

## make run [INPUT=file]      write a file through noiommu-vfio0 to an emulated NVMe disk, and read it back
run: tree
	@scripts/run

## make test [SCENARIO=name]  boot the scenarios (scenarios/*), and count what their programs say
test: tree
	@scripts/test

## make bench                 measure GET_PA and all that it competes with; build/bench/bench.md
bench: tree
	@scripts/bench

## make shell [SCENARIO=name] a shell in the guest of a scenario (noiommu), its devices bound to vfio-pci
shell: tree
	@scripts/shell

## make mutants [MUTANT=name] apply wrong changes to the series (mutants/), one by one: do the tests notice?
mutants: tree
	@scripts/mutants

## make compare               the base's own selftests and KUnit tests, without the series and with it
compare: tree
	@scripts/compare

## make tree [LINUX=source]   build/linux: the pristine kernel as a commit, then the patches
tree:
	@scripts/setup
	@scripts/make-tree

## make patches               patches/ written anew from the commits in build/linux
patches:
	@scripts/make-patches

## make check                 fast checks of the series, the scripts and the README
check: tree
	@scripts/check

## make clean                 remove what was built; build/linux stays
clean:
	@scripts/clean

## make distclean             remove build/ and the cache
distclean:
	@scripts/clean all

help:
	@sed -n 's/^## //p' Makefile

.DEFAULT_GOAL := help
.PHONY: run test shell bench mutants compare tree patches check clean distclean help
