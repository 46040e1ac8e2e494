# The series as a git tree and as files, and whether one has what the other lacks. Sourced.
# shellcheck shell=bash

# The patches in their order, without the cover: that is made from cover-letter.txt.
patch_files() {
	[ ! -d "$patches" ] || find "$patches" -name '0*.patch' ! -name '0000-*' | sort
}

patches_id() {
	patch_files | xargs -rd '\n' cat | sha256sum
}

# Both are kept in build/linux/.git: the commit that was made of patches/, and of which patches/.
record() {
	kgit tag -f applied >/dev/null
	patches_id >"$tree/.git/patches-id"
}

patches_changed() {
	[ "$(patches_id)" != "$(cat "$tree/.git/patches-id")" ]
}

commits_changed() {
	[ "$(kgit rev-parse HEAD)" != "$(kgit rev-parse applied)" ]
}

# export_series DIR: git format-patch, the same bytes on every machine. The cover letter is
# from the committer, now; so that becomes who wrote the last patch, and when.
export_series() (
	cover=()
	if [ -e "$patches/cover-letter.txt" ]; then
		cover=(--cover-letter --cover-from-description=subject)
	fi
	committer_name=$(kgit log -1 --format=%an noiommu)
	committer_email=$(kgit log -1 --format=%ae noiommu)
	GIT_COMMITTER_DATE=$(kgit log -1 --format=%ad --date=raw noiommu)
	export GIT_COMMITTER_DATE
	kgit -c branch.noiommu.description="$(cat "$patches/cover-letter.txt" 2>/dev/null)" \
		format-patch --quiet --zero-commit --no-signature --abbrev=12 \
		"${cover[@]}" -o "$1" base..noiommu
)

same_files() {
	diff -rq --exclude=cover-letter.txt --exclude='0000-*' "$1" "$2" >/dev/null 2>&1
}

# Nothing in build/linux may be half done.
need_settled_tree() {
	local state
	if [ -d "$tree/.git/rebase-apply" ] || [ -d "$tree/.git/rebase-merge" ]; then
		die "a git am or rebase is under way in build/linux" "finish it, or abort it, there"
	fi
	state=$(kgit status --porcelain | sed 11,\$d)
	[ -z "$state" ] || die "build/linux has edits that are not committed:" "${state//$'\n'/$'\n       '}" \
		"keep them: commit them there, then: make patches" \
		"drop them: git -C build/linux reset --hard && git -C build/linux clean -fd"
	[ "$(kgit symbolic-ref -q --short HEAD)" = noiommu ] ||
		die "build/linux is not on its branch 'noiommu'" "git -C build/linux checkout noiommu"
	kgit merge-base --is-ancestor base HEAD || die "the branch in build/linux does not start at its tag 'base'"
	[ -z "$(kgit rev-list --merges base..HEAD)" ] ||
		die "there is a merge in build/linux; patches/ can only hold a straight line of commits" \
			"git -C build/linux rebase base"
}

refuse_to_lose_commits() {
	local exported
	commits_changed || return 0
	exported=$(mktemp -d "$build/export.XXXXXX")
	trap 'rm -rf "$exported"' EXIT
	export_series "$exported"
	same_files "$exported" "$patches" ||
		die "build/linux has commits that patches/ does not have:" \
			"keep them: make patches" \
			"drop them: git -C build/linux reset --hard applied"
}
