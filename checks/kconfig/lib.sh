# Kernel configurations without "make", which takes three times as long. Sourced.
# shellcheck shell=bash

folder=$out/kconfig
passed=0 failed=0

# result NAME PROBLEM
result() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$1: $2 (see $folder/$1)"
	fi
}

# Build the kernel's program "conf" in $folder/conf.
build_conf() {
	mkdir -p "$folder/conf"
	logged "$out/log/kconfig.log" "building scripts/kconfig" \
		make -C "$tree" O="$folder/conf" ARCH=x86_64 HOSTCC="$gcc" allnoconfig
}

# with_arch ARCH COMMAND...: in the environment that the kernel's makefile gives to conf
with_arch() {
	local arch=$1 srcarch=$1
	shift
	case $arch in i386 | x86_64) srcarch=x86 ;; esac
	ARCH=$arch SRCARCH=$srcarch KERNELVERSION=$version srctree=$tree CC=gcc LD=ld PAHOLE=pahole PAHOLE_VERSION=0 \
		CC_VERSION_TEXT=$(gcc --version | head -n 1) "$@"
}

# lacks OPTION: this base does not have it
lacks() {
	grep -qsx "# CONFIG_$1 is not set" "$root/lab/configs/bases/$BASE.config"
}

# configure NAME ARCH "OPTION..." WANTED...: in the folder NAME. Writes what is wrong to the file "problem" there.
configure() (
	name=$1 arch=$2 options=$3 wrong='' kind=allnoconfig
	shift 3
	mkdir -p "$folder/$name"
	cd "$folder/$name" || exit
	if [ "$options" = allmodconfig ]; then
		kind=allmodconfig options=
	fi
	tr ' ' '\n' <<<"$options" | sed 's/^./CONFIG_&/' >wanted
	if ! KCONFIG_ALLCONFIG=wanted with_arch "$arch" "$folder/conf/scripts/kconfig/conf" -s "--$kind" Kconfig \
		>log 2>&1 || [ -s log ]; then
		wrong=$(head -n 3 log)
	fi
	for wanted; do
		! lacks "${wanted%=*}" || continue
		case $wanted in
		!*) ! grep -q "^CONFIG_${wanted#!}=" .config || wrong+=" ${wanted#!} is set" ;;
		*) grep -q "^CONFIG_$wanted\$" .config || wrong+=" $wanted is missing" ;;
		esac
	done
	echo "$wrong" >problem
)

# configure_all: configure each paragraph of the matrix, or those that CONFIGURATION names, nproc at a time. Sets the
# array names, and with a name as the index linked and arch_of.
configure_all() {
	local selected=" ${CONFIGURATION:-} " name arch wanted options links
	names=()
	declare -gA linked=() arch_of=()
	while read -r name arch wanted; do
		case $name in '' | '#'*) continue ;; esac
		links=
		if [ "$name" = links ]; then
			links=yes name=$arch
			read -r arch wanted <<<"$wanted"
		fi
		read -r options
		[[ -z ${CONFIGURATION:-} || $selected = *" $name "* ]] || continue
		names+=("$name")
		linked[$name]=$links arch_of[$name]=$arch
		[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n || true
		# shellcheck disable=SC2086
		configure "$name" "$arch" "$options" $wanted &
	done <"$root/checks/kconfig/matrix"
	wait
	for name in "${names[@]}"; do result "$name" "$(cat "$folder/$name/problem")"; done
}
