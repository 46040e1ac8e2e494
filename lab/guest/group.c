// SPDX-License-Identifier: GPL-2.0-only
/* group BDF: use this noiommu device through its group, without iommufd. Prints KTAP. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int number;

/* Every step requires the previous ones */
static void check(const char *what, int ok)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, what);
	if (ok)
		return;
	printf("# %s\n", strerror(errno));
	exit(1);
}

/* The number in a file of the device in sysfs */
static unsigned int sysfs(const char *bdf, const char *name)
{
	unsigned int value = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%x", &value) != 1)
		value = ~0;
	if (file)
		fclose(file);
	return value;
}

static int open_group(const char *bdf)
{
	char path[128], group[64], *name;
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	length = readlink(path, group, sizeof(group) - 1);
	if (length < 0)
		return -1;
	group[length] = 0;
	name = strrchr(group, '/');
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", name ? name + 1 : group);
	return open(path, O_RDWR);
}

int main(int argc, char **argv)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int container, group, device;
	unsigned char id[4];

	if (argc != 2) {
		fprintf(stderr, "usage: %s BDF\n", argv[0]);
		return 2;
	}
	printf("KTAP version 1\n1..9\n");
	container = open("/dev/vfio/vfio", O_RDWR);
	check("the container opens", container >= 0);
	check("it has VFIO_NOIOMMU_IOMMU", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 1);
	group = open_group(argv[1]);
	check("the group opens", group >= 0);
	check("it is viable", !ioctl(group, VFIO_GROUP_GET_STATUS, &status) &&
	      (status.flags & VFIO_GROUP_FLAGS_VIABLE));
	check("the container is set", !ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	check("the IOMMU type is set", !ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	check("the device opens", device >= 0);
	check("it is a PCI device", !ioctl(device, VFIO_DEVICE_GET_INFO, &info) &&
	      (info.flags & VFIO_DEVICE_FLAGS_PCI));
	check("its config space has the right IDs",
	      !ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) &&
	      pread(device, id, sizeof(id), config.offset) == sizeof(id) &&
	      (id[0] | id[1] << 8) == (int)sysfs(argv[1], "vendor") &&
	      (id[2] | id[3] << 8) == (int)sysfs(argv[1], "device"));
	return 0;
}
