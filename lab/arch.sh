# The architectures of kernels and guests. Sourced.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this file use the variables
#
# A further architecture is a case in use_arch, a fragment lab/configs/arch/NAME.config, and a kernel whose
# fragment has the line "# arch: NAME".

# arch_of KERNEL: the architecture of a kernel of lab/configs/kernels
arch_of() {
	local name
	name=$(sed -n 's/^# arch: //p' "$root/lab/configs/kernels/$1.config")
	echo "${name:-x86_64}"
}

# use_arch NAME: set these variables
#   ARCH, CROSS_COMPILE   exported for the makefiles of the kernel
#   host_packages         Debian packages with the compiler and QEMU, besides those of lab/setup
#   debian                Debian's name of the architecture. Packages of the guest are unpacked to sysroot.
#                         none: Debian has no packages. The guest has a busybox built from source, and no bash.
#   userspace             where the guest's programs are built
#   image                 file of the kernel, in its build folder
#   emulator, cpu         QEMU, and the CPU that it emulates
#   smp, root_bus         number of CPUs, QEMU's name of the first PCI bus
#   machine, firmware     QEMU's arguments for the machine, and for firmware that it does not have by default
#   iommu, iommu_options  QEMU's arguments and the kernel's for an IOMMU
#   console               terminal on QEMU's first serial port, for the kernel's messages
#   result, result_port   terminal of the job, and QEMU's arguments to connect it to the chardev "result"
#   options               of the kernel command line
use_arch() {
	arch=$1
	userspace=$out/$arch
	sysroot=$cache/sysroot/$arch
	host_packages=()
	smp=2 root_bus=pcie.0
	export ARCH CROSS_COMPILE
	case $arch in
	x86_64)
		ARCH=x86_64 CROSS_COMPILE='' userspace=$out sysroot=''
		image=arch/x86/boot/bzImage
		emulator=qemu-system-x86_64 cpu=max,la57=off
		# The 2 GiB device makes the firmware place 64-bit BARs above 4 GiB, see docs/lab.md.
		machine=(-machine q35 -object "memory-backend-ram,id=big,size=2G,reserve=off"
			-device "ivshmem-plain,memdev=big,addr=1e")
		firmware=()
		iommu=(-machine kernel-irqchip=split -device intel-iommu) iommu_options=intel_iommu=on
		console=ttyS0 result=ttyS1 result_port=(-serial chardev:result)
		# tsc=reliable disables the clocksource watchdog, which reports a broken TSC if an emulated CPU
		# is preempted.
		options="no_timer_check tsc=reliable"
		;;
	arm64)
		ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- debian=arm64
		host_packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm qemu-efi-aarch64)
		image=arch/arm64/boot/Image
		emulator=qemu-system-aarch64 cpu=cortex-a72
		machine=(-machine "virt,gic-version=3,its=on")
		firmware=(-bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd)
		iommu=(-machine iommu=smmuv3) iommu_options=''
		console=ttyAMA0 result=ttyS0 result_port=(-device "pci-serial,chardev=result,addr=1e")
		# A BAR can be mapped only if it shares no page with another: align those of NVMe to pages.
		options=pci=resource_alignment=pci:1b36:0010
		;;
	i386 | compat) # compat: programs for i386 on an x86_64 kernel
		ARCH=i386 CROSS_COMPILE=i686-linux-gnu- debian=i386
		[ "$arch" = i386 ] || ARCH=x86_64
		userspace=$out/i386 sysroot=$cache/sysroot/i386
		host_packages=(gcc-i686-linux-gnu libc6-dev-i386-cross)
		image=arch/x86/boot/bzImage
		emulator=qemu-system-x86_64 cpu=max,la57=off
		# As for x86_64. A 32-bit kernel has no place above 4 GiB for BARs.
		machine=(-machine q35)
		firmware=()
		iommu=(-machine kernel-irqchip=split -device intel-iommu) iommu_options=intel_iommu=on
		console=ttyS0 result=ttyS1 result_port=(-serial chardev:result)
		options="no_timer_check tsc=reliable"
		;;
	mips) # 32 bit, big-endian
		ARCH=mips CROSS_COMPILE=mips-linux-gnu- debian=none
		host_packages=(gcc-mips-linux-gnu libc6-dev-mips-cross qemu-system-mips)
		image=vmlinux
		emulator=qemu-system-mips cpu=24Kf smp=1 root_bus=pci
		machine=(-machine malta)
		firmware=()
		iommu=() iommu_options=''
		console=ttyS0 result=ttyS1 result_port=(-serial chardev:result)
		options=''
		;;
	*) die "there is no architecture '$arch'" "see lab/arch.sh" ;;
	esac
}
