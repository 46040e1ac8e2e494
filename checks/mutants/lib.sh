# Run suites on a mutant, in the tree of own_tree(). Sourced.
# shellcheck shell=bash

# in_shares: run this script once per core, as "run SHARE". Each has a kernel tree of its own. Print the
# verdicts as one.
in_shares() {
	local share pids=() status=0 work
	work=$(mktemp -d "$out/shares.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	for share in $(seq "$(nproc)"); do
		setpriv --pdeathsig TERM "$0" "$share" >"$work/$share" &
		pids+=($!)
	done
	for share in "${pids[@]}"; do wait "$share" || status=1; done
	[ $status = 0 ] || die "a share of the mutants failed, see above"
	sed -s '$d' "$work"/*
	tail -qn 1 "$work"/* | awk '{ passed += $1; failed += $2; skipped += $3 } END { print passed, failed, skipped }'
}

# in_share SHARE NUMBER: true if the share has this number
in_share() {
	[ $(($2 % $(nproc) + 1)) = "$1" ]
}

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
	case $1 in
	*/*) own flock "$out/shares.lock" "$root/lab/build-kernel" "${1#*/}" ;; # the others find it in the ccache
	esac
	run "$1" "$2"
	passes "$1" || die "$1 fails without a mutant:" "$(head -n 1 "$own/test/$1/verdict")" \
		"logs: $own/test/$1"
}
