# Shared by the scripts that build DPDK. Sourced, after lab/lib.sh. The source comes from the cache, the folder
# SOURCES= (default: "shared" next to this checkout), or apt.
# shellcheck shell=bash

here=${root:?}/clients/dpdk
work=${out:?}/dpdk
sources=${SOURCES:-$(dirname "$root")/shared}
# shellcheck source=pin
. "$here/pin"

pinned() {
	[ -e "$1" ] && sha256sum --check --status <<<"$sha256  $1"
}

from_apt() {
	local apt=$work/apt
	rm -rf "$apt"
	mkdir -p "$cache"
	private_apt "$apt" "$apt_suite" || return
	cd "$apt" || return
	"${apt_get[@]}" source --download-only --tar-only --only-source "dpdk=$apt_version" || return
	pinned "$apt/$file" || { echo "$file from apt is not the pinned one"; return 1; }
	cp "$apt/$file" "$cache/$file.$$"
	mv "$cache/$file.$$" "$cache/$file"
}

# Set "source" to the path of the pristine tarball.
find_source() {
	for source in "$cache/$file" "$sources/$file"; do
		! pinned "$source" || return 0
	done
	logged "$out/log/dpdk-source.log" "no $file in the cache or in SOURCES=; getting it with apt" from_apt
	source=$cache/$file
}

# prepare TREE [PATCH...]: the tree of one build, created again if its ingredients change. Meson builds only
# programs of the tree statically, so the test program becomes one of them.
prepare() {
	local tree=$work/$1 patch id
	shift
	id=$(cat "$here/pin" "$here"/app/* "$@" | sha256sum)
	[ "$(cat "$tree.id" 2>/dev/null)" != "$id" ] || return 0
	rm -rf "$tree" "$tree.id"
	mkdir -p "$tree"
	tar -C "$tree" --strip-components=1 -xf "$source"
	for patch; do
		patch -d "$tree" -p1 --no-backup-if-mismatch <"$patch"
	done
	mkdir "$tree/app/noiommu-frames"
	cp "$here"/app/* "$tree/app/noiommu-frames"
	sed -i "s/^apps = \[/&\n        'noiommu-frames',/" "$tree/app/meson.build"
	echo "$id" >"$tree.id"
}

# compile TREE PROGRAM...: without the shared libraries of this machine
compile() {
	local tree=$work/$1
	shift
	export PKG_CONFIG_LIBDIR=/empty CC=$gcc
	[ -e "$tree/b/build.ninja" ] || meson setup "$tree/b" "$tree" \
		--buildtype=release -Dplatform=generic -Ddefault_library=static \
		-Dc_link_args=-static -Dtests=true -Denable_kmods=false -Ddisable_libs='*' \
		-Denable_apps=test-pmd,test,noiommu-frames -Dmax_lcores=8 -Dmax_numa_nodes=2 \
		-Denable_drivers=bus/pci,bus/vdev,mempool/ring,net/e1000,net/virtio,net/ring,net/null
	ninja -C "$tree/b" -j"$(nproc)" "$@"
	strip "${@/#/$tree/b/}"
}

# shellcheck disable=SC2086,SC2154
"$root/lab/setup" $packages
mkdir -p "$work/programs"
find_source
