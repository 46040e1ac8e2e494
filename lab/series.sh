# The series as commits, a branch per topic, and as files, a folder per topic. Detects which of them has
# changed. Sourced.
# shellcheck shell=bash

# The folders of the topics, in order
topics() {
	find "$series" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort -V
}

# patch_files [TOPIC]: the patches, in order
patch_files() {
	find "$series/${1:-}" -name '*.patch' | sort -V
}

# The branches of the topics, in order
branches() {
	kgit for-each-ref --format='%(refname:short)' 'refs/heads/[0-9]*-*' | sort -V
}

# The branch of the last topic, which is checked out
top_branch() {
	local last
	last=$(branches | tail -n 1)
	echo "${last:-pristine}"
}

# Print what a patch does, without what depends on its place in a series.
change_of() {
	bare_git mailinfo /dev/stdout /dev/null <"$1"
	bare_git patch-id --stable <"$1" | cut -d' ' -f1
}

# A patch that the series "common_with" of the pin has, too, is stored once: as a link to the file there.
# same_subject FILE: the patch with this subject in that series
same_subject() {
	[ -z "${common_with:-}" ] || find "$root/series/linux-$common_with" -name "????-${1##*/????-}"
}

# link_common DIR: replace the patches that make the same change there
link_common() {
	local file other
	for file in "$1"/*/*.patch; do
		other=$(same_subject "$file")
		[ -n "$other" ] || continue
		[ "$(change_of "$file")" != "$(change_of "$other")" ] || ln -sf "../../${other#"$root/series/"}" "$file"
	done
}

# Links name the number of a patch, which changes.
relink() {
	local link folder other
	find "$root/series" -xtype l | while read -r link; do
		folder=$(readlink "$link")
		folder=$(dirname "$link")/${folder%/*/*}
		other=$(find "$folder" -name "????-${link##*/????-}")
		[ -n "$other" ] ||
			die "${link#"$root/"}: there is no patch with this subject in series/${folder##*/}" \
				"remove the link, or keep its last version: make patches DISCARD=1"
		ln -sfn "../../${folder##*/}/${other#"$folder/"}" "$link"
	done
}

# Kept in .git of the tree: the state of patches and branches at the last conversion
patches_id() {
	(cd "$series" && find . -name '*.patch' | sort -V | xargs -r sha256sum) | sha256sum
}

branches_id() {
	kgit for-each-ref 'refs/heads/[0-9]*-*' | sha256sum
}

record() {
	patches_id >"$tree/.git/patches-id"
	branches_id >"$tree/.git/branches-id"
}

patches_changed() {
	[ "$(patches_id)" != "$(cat "$tree/.git/patches-id")" ]
}

branches_changed() {
	[ "$(branches_id)" != "$(cat "$tree/.git/branches-id")" ]
}

# export_series DIR: what belongs in $series: git format-patch of each topic, reproducible on every machine
export_series() {
	local branch below=base
	for branch in $(branches); do
		kgit format-patch --quiet --zero-commit --no-signature --abbrev=12 \
			--filename-max-length=120 -o "$1/$branch" "$below..$branch"
		below=$branch
	done
	[ -z "${common_with:-}" ] || link_common "$1"
}

same_files() {
	diff -rq --no-dereference --exclude=why --exclude=lacks --exclude=cover.txt --exclude=pin "$1" "$series" >/dev/null 2>&1
}

# Require a kernel tree without an operation in progress or uncommitted edits.
need_settled_tree() {
	local state branch below=base name=${tree#"$root/"}
	if [ -d "$tree/.git/rebase-apply" ] || [ -d "$tree/.git/rebase-merge" ]; then
		die "a git am or rebase is in progress in $name" "finish or abort it there"
	fi
	state=$(kgit status --porcelain | sed 11,\$d)
	[ -z "$state" ] || die "$name has uncommitted edits:" "${state//$'\n'/$'\n       '}" \
		"keep them: commit them there, then: make patches" \
		"drop them: git -C $name reset --hard && git -C $name clean -fd"
	[ "$(kgit symbolic-ref -q --short HEAD)" = "$(top_branch)" ] ||
		die "$name is not on the branch of the last topic" "git -C $name checkout $(top_branch)"
	for branch in $(branches); do
		kgit merge-base --is-ancestor "$below" "$branch" ||
			die "the branch $branch in $name does not start at $below" \
				"rebase with --update-refs, which moves the topics' branches along"
		[ -z "$(kgit rev-list --merges "$below..$branch")" ] ||
			die "$name has a merge commit; a series requires linear history" \
				"git -C $name rebase --update-refs base"
		below=$branch
	done
}

refuse_to_lose_commits() {
	local exported
	branches_changed || return 0
	exported=$(mktemp -d "$out/export.XXXXXX")
	trap 'rm -rf "$exported"' EXIT
	export_series "$exported"
	same_files "$exported" ||
		die "${tree#"$root/"} has commits that ${series#"$root/"} does not have:" \
			"keep them: make patches" "drop them: make tree DISCARD=1"
	record
}
