# Shared by the scripts of the host. Sourced, after "set -euo pipefail".
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export BASE=${BASE:-7.1}
series=$root/series/linux-$BASE
tree=${TREE:-$root/build/linux-$BASE} # the kernel tree that is built
out=${OUT:-$root/build/$BASE}         # its build results
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/noiommu-cdev

say() {
	printf '%s\n' "$*" >&2
}

# die WHAT_FAILED REMEDY...: each further argument is a separate line
die() {
	say "error: $1"
	shift
	local line
	for line; do say "       $line"; done
	exit 1
}

[ -e "$series/pin" ] || die "there is no series for BASE=$BASE" \
	"choose one of: $(cd "$root/series" && echo linux-* | sed 's/linux-//g')"
# shellcheck source=../series/linux-7.1/pin
. "$series/pin"
kunit_tree=${programs_of:+$root/build/linux-$programs_of} # has a kunit.py that lab/judge can use
kunit_tree=${kunit_tree:-$tree}
[ -z "${TREE:-}" ] || programs_of='' # this tree has its own tests

unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMITTER_DATE
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=6G
gcc="$(! command -v ccache >/dev/null || echo 'ccache ')gcc"

# logged LOG WHAT COMMAND...: log the output, print its end on failure. COMMAND may be a function; it
# runs in a subshell with errexit.
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

# git without the user's configuration and identity, for reproducible output
bare_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
		GIT_COMMITTER_NAME=noiommu-cdev GIT_COMMITTER_EMAIL=noiommu-cdev@localhost git "$@"
}

kgit() {
	bare_git -C "$tree" "$@"
}

# Run a child that is killed when this script ends. In the background call setpriv directly: a function
# would run in a subshell, which would be the parent.
child() {
	setpriv --pdeathsig TERM "$@"
}

# own_tree NAME COMMIT: check COMMIT out, cleanly, to build/BASE/NAME/linux. "own" runs a script on it,
# with build results in build/BASE/NAME; "ogit" is its git.
own_tree() {
	own=$out/$1
	if [ ! -e "$own/linux" ]; then
		kgit worktree prune
		kgit worktree add -q --detach "$own/linux" "$2"
	fi
	ogit checkout -q --detach --force "$(kgit rev-parse "$2")"
	restore_own_tree
}

ogit() {
	bare_git -C "$own/linux" "$@"
}

own() {
	TREE=$own/linux OUT=$own child "$@"
}

restore_own_tree() {
	ogit reset -q --hard
	ogit clean -qfdx
}

# This machine's Debian release
release() (
	# shellcheck source=/dev/null
	. /etc/os-release
	echo "$VERSION_CODENAME"
)

# The mirror of this release
mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE) $(CODENAME) $(CREATED_BY)' |
		awk -v release="$(release)" '$2 == release && $3 == "Packages" { print $1; exit }'
}

keyring() {
	local ring
	for ring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		[ ! -e "$ring" ] || { echo "$ring"; return; }
	done
	return 1
}

# private_apt FOLDER SUITE [ARCH]: set the array "apt_get" to an apt-get for this suite that uses FOLDER instead
# of the host's lists and sources. Prints the reason if it cannot.
private_apt() {
	local site ring
	command -v apt-get >/dev/null || { echo "apt-get is missing"; return 1; }
	site=$(mirror)
	[ -n "$site" ] || { echo "apt has no mirror of this release"; return 1; }
	ring=$(keyring) || { echo "debian-archive-keyring is missing"; return 1; }
	mkdir -p "$1/lists/partial" "$1/archives/partial" &&
		printf '%s\n' "deb [signed-by=$ring] $site $2 main" \
			"deb-src [signed-by=$ring] $site $2 main" >"$1/sources.list" || return 1
	apt_get=(apt-get -q -o Dir::Etc::SourceList="$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$1/lists" -o Dir::Cache="$1" -o APT::Sandbox::User=
		${3:+-o APT::Architecture="$3" -o APT::Architectures="$3"})
	"${apt_get[@]}" -o Acquire::Languages=none update
}
