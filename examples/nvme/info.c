// SPDX-License-Identifier: GPL-2.0-only
/* Requirements of noiommu mode on this machine */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>

#include "info.h"
#include "noiommu.h"
#include "nvme.h"

static void item(const char *state, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* @state: "ok", "missing", or "" for information only */
static void item(const char *state, const char *name, const char *fmt, ...)
{
	va_list args;

	printf("%-8s %-15s ", state, name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static bool has_capability(unsigned int capability)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long effective = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	}
	if (file)
		fclose(file);
	return effective >> capability & 1;
}

static void show_kernel(void)
{
	struct utsname kernel;

	uname(&kernel);
	item("", "kernel", "%s %s %s", kernel.sysname, kernel.release,
	     kernel.machine);
}

static void show_iommufd(void)
{
	struct noiommu iommu;
	int ret = noiommu_open(&iommu);

	if (ret) {
		item("missing", "/dev/iommu", "%s", iommu.error);
		return;
	}
	item("ok", "/dev/iommu", "can be opened");

	ret = noiommu_probe(&iommu);
	item(ret ? "missing" : "ok", "GET_PA", "%s",
	     ret ? iommu.error : "IOMMU_IOAS_NOIOMMU_GET_PA works");
	noiommu_close(&iommu);
}

static void show_parameter(void)
{
	static const char path[] = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
	FILE *file = fopen(path, "re");

	if (!file)
		item("missing", "noiommu mode", "no %s: CONFIG_VFIO_NOIOMMU, or modprobe vfio",
		     path);
	else if (fgetc(file) == 'Y')
		item("ok", "noiommu mode", "vfio.enable_unsafe_noiommu_mode is on");
	else
		item("missing", "noiommu mode", "vfio.enable_unsafe_noiommu_mode is off: echo Y > %s",
		     path);
	if (file)
		fclose(file);
}

static void show_iommus(void)
{
	DIR *dir = opendir("/sys/class/iommu");
	struct dirent *entry;
	bool found = false;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		item("", "IOMMU", "%s: devices behind it use their vfioN nodes",
		     entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	if (!found)
		item("", "IOMMU", "none");
}

static void show_rights(void)
{
	bool ipc_lock = has_capability(CAP_IPC_LOCK);
	struct rlimit limit;

	if (has_capability(CAP_SYS_RAWIO))
		item("ok", "CAP_SYS_RAWIO", "yes");
	else
		item("missing", "CAP_SYS_RAWIO", "no: run as root or setcap cap_sys_rawio+ep");

	getrlimit(RLIMIT_MEMLOCK, &limit);
	item("", "CAP_IPC_LOCK", ipc_lock ? "yes: RLIMIT_MEMLOCK does not apply" : "no");
	if (limit.rlim_cur == RLIM_INFINITY)
		item("ok", "RLIMIT_MEMLOCK", "unlimited");
	else
		item(ipc_lock || limit.rlim_cur >= 8 << 20 ? "ok" : "missing",
		     "RLIMIT_MEMLOCK", "%llu bytes of mapped memory%s",
		     (unsigned long long)limit.rlim_cur,
		     ipc_lock || limit.rlim_cur >= 8 << 20 ?
		     "" : ": 8 MiB are required, ulimit -l 8192 or CAP_IPC_LOCK");
}

static void show_device(const char *bdf)
{
	struct noiommu_device dev;
	struct noiommu iommu = {};
	uint32_t class_code;
	bool is_nvme;
	int ret;

	if (noiommu_pci_class(&iommu, bdf, &class_code))
		return;
	is_nvme = class_code == NVME_CLASS_CODE;
	ret = noiommu_find_node(&iommu, bdf, &dev);
	if (!ret)
		item("ok", is_nvme ? "NVMe disk" : "device", "%s is %s", bdf,
		     dev.node);
	else if (is_nvme)
		item("missing", "NVMe disk", "%s", iommu.error);
}

/* NVMe disks, and other devices with a noiommu node */
static void show_devices(void)
{
	struct dirent **entries;
	int i, nr;

	nr = scandir("/sys/bus/pci/devices", &entries, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		show_device(entries[i]->d_name);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}

int show_info(void)
{
	show_kernel();
	show_iommufd();
	show_parameter();
	show_iommus();
	show_rights();
	show_devices();
	return EXIT_SUCCESS;
}
