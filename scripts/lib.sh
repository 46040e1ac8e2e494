# What the scripts on the host share. Sourced, after "set -euo pipefail".
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$root/build} # another tree and its kernels, side by side with this one
tree=$build/linux
patches=$root/patches
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/noiommu-cdev

# shellcheck source=../kernel/pin
. "$root/kernel/pin"

export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=4G

say() {
	printf '%s\n' "$*" >&2
}

# die WHAT_FAILED REMEDY...: every further argument is a line of its own
die() {
	say "error: $1"
	shift
	local line
	for line; do say "       $line"; done
	exit 1
}

# logged LOG WHAT COMMAND...: quiet while it works, the end of the log when not. The command may
# be a function: the subshell sees to it that its first error ends it.
logged() {
	local log=$1 what=$2 status
	shift 2
	mkdir -p "$(dirname "$log")"
	set +e
	(set -e; "$@") >"$log" 2>&1
	status=$?
	set -e
	[ $status != 0 ] || return 0
	tail -n 15 "$log" >&2
	die "$what failed" "log: $log"
}

unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMITTER_DATE

# git without the configuration and the identity of the user: neither may change what it writes
bare_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
		GIT_COMMITTER_NAME=${committer_name:-noiommu-cdev} \
		GIT_COMMITTER_EMAIL=${committer_email:-noiommu-cdev@localhost} \
		git "$@"
}

kgit() {
	bare_git -C "$tree" "$@"
}

# A child that does not outlive this script, however that ends. Not for the background, where a
# function is a subshell, which would be the parent: there, call setpriv itself.
child() {
	setpriv --pdeathsig TERM "$@"
}

# own_tree NAME COMMIT: from here on the tree is one of its own, at this commit of build/linux, and
# all that is built of it is in build/NAME, too.
own_tree() {
	local repository=$tree commit
	commit=$(kgit rev-parse "$2")
	export BUILD=$build/$1
	build=$BUILD tree=$BUILD/linux
	if [ ! -e "$tree" ]; then
		bare_git -C "$repository" worktree prune
		bare_git -C "$repository" worktree add -q --detach "$tree" "$commit"
	fi
	kgit checkout -q --detach --force "$commit"
	restore_tree
}

restore_tree() {
	kgit reset -q --hard
	kgit clean -qfdx
}
