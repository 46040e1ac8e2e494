# SPDX-License-Identifier: GPL-2.0

export BASE LINUX SOURCES INPUT SUITE SET MUTANT SINCE DISCARD

## BASE=7.1 (default), BASE=7.3 or BASE=6.12 selects the Linux release: see series/.
##
## make run [INPUT=file]      write a file through noiommu-vfio0 to an emulated NVMe disk, and read it back
run: tree
	@lab/run

## make test [SUITE=name]     run the suites of the set "default" in lab/sets, or those named
test: tree
	@lab/test

## make test-all              run all suites of the set "all" in lab/sets
test-all: tree
	@SET=all lab/test

## make shell [SUITE=name]    a shell in the guest of a suite (default: noiommu), its devices bound to vfio-pci
shell: tree
	@lab/shell

## make tree [LINUX=source]   build/linux-BASE: the pristine kernel as a commit, then a branch per topic
tree:
	@lab/setup
	@lab/tree

## make patches               write series/linux-BASE from the branches in build/linux-BASE
patches:
	@lab/patches

## make range-diff SINCE=tag  what has changed in the series since a commit of this repository
range-diff: tree
	@lab/range-diff

## make deb                   Debian packages of the kernel: build/BASE/deb
deb: tree
	@lab/build-kernel cloud
	@ls build/$(or $(BASE),7.1)/deb/*.deb

## make bench                 measure GET_PA and its alternatives; build/BASE/bench/bench.md
bench: tree
	@bench/run

## make clean                 remove what was built; the kernel trees and the cache stay
clean:
	@lab/clean

## make distclean             remove build/ and the cache
distclean:
	@lab/clean all

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

.DEFAULT_GOAL := help
.PHONY: run test test-all shell tree patches range-diff deb bench clean distclean help
