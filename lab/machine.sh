# The commands that describe a machine, see lab/machines/. Sourced; fills the arrays "qemu" and "slots".
# shellcheck shell=bash
#
# A machine also sets only cmdline (the kernel command line) and memory. The name of a device is a variable
# that holds its PCI address. Its place is BUS:SLOT.FUNCTION, in hexadecimal.

qemu=()  # arguments
slots=() # the PCI addresses of the devices under test, which the guest binds to vfio-pci
disks=() # images in the guest's folder
cmdline='' memory=1G

place() {
	local bus=bus${1%%:*}
	[ "$bus" != bus00 ] || bus=${root_bus:?}
	echo "bus=$bus,addr=${1#*:}"
}

# device NAME PLACE DRIVER[,OPTION...]
device() {
	qemu+=(-device "$3,$(place "$2")")
	slots+=("0000:$2")
	printf -v "$1" %s "0000:$2"
}

# disk NAME PLACE [OPTION,...]: an NVMe disk of 64 MiB with the serial number lab-NAME
# A flush does not wait for the host's disk, which takes longer than the timeout of a command on a busy host.
disk() {
	disks+=("$1")
	qemu+=(-drive "if=none,id=$1,format=raw,cache=unsafe,file=$folder/$1.img")
	device "$1" "$2" "nvme,drive=$1,serial=lab-$1${3:+,$3}"
}

# port BUS PLACE [OPTION,...]: a root port with this bus below it. The firmware numbers buses by the
# places of the ports.
port() {
	qemu+=(-device "pcie-root-port,id=bus$1,chassis=$((16#$1)),slot=$((16#$1)),$(place "$2")${3:+,$3}")
}

# bypass BUS PLACE: a host bridge whose devices are not behind an IOMMU, described by firmware
bypass() {
	qemu+=("${firmware[@]}" -device "pxb-pcie,id=bus$1,bus_nr=$((16#$1)),bypass_iommu=on,$(place "$2")")
}

# iommu: all other devices are behind an IOMMU
iommu() {
	qemu+=("${iommu[@]:?}")
	cmdline+=" ${iommu_options:-}"
}

# use_machine NAME: also creates the disk images, in $folder
use_machine() {
	local disk
	[ -e "$root/lab/machines/$1" ] || die "there is no machine '$1'" "see lab/machines/"
	# shellcheck source=/dev/null
	. "$root/lab/machines/$1"
	for disk in "${disks[@]}"; do truncate -s 64M "$folder/$disk.img"; done
}
