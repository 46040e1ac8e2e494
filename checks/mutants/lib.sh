# Run suites on a mutant, in the tree of own_tree(). Sourced.
# shellcheck shell=bash

# run SUITE TESTS: fails if it cannot be run
run() {
	local folder=$own/test/$1
	case $1 in
	*/*)
		own "$root/lab/build-kernel" "${1#*/}" || return
		TESTS=$2 TIMEOUT=300 own "$root/lab/suite" "${1%/*}" "${1#*/}"
		;;
	*)
		mkdir -p "$folder"
		own "$root/checks/$1/run" >"$folder/verdict"
		;;
	esac
}

# passes SUITE: true if its last run passed
passes() {
	local failed
	read -r _ failed _ < <(tail -n 1 "$own/test/$1/verdict")
	[ "$failed" = 0 ]
}

# baseline SUITE TESTS: require a pass without a mutant.
baseline() {
	say "running $1 without a mutant"
	run "$1" "$2"
	passes "$1" || die "$1 fails without a mutant:" "$(head -n 1 "$own/test/$1/verdict")" \
		"logs: $own/test/$1"
}
