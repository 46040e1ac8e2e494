/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the hostile programs: devices, calls, counters and KTAP */
#ifndef COMMON_H
#define COMMON_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define PARAMETER "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define NO_ID 0x7ffffff0	/* no object gets this ID */

/* KTAP with this number of results */
void ktap_start(unsigned int nr_planned);
bool ktap(bool ok, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Returns the exit status */
int ktap_end(void);

struct test {
	const char *name;
	bool (*run)(void);
};

/* Run the tests whose name contains @text, or all. Returns the exit status. */
int run_tests(const struct test *tests, unsigned int nr_tests, const char *text);

/* Print what is not true */
bool check(bool ok, const char *what);
#define CHECK(_condition) check(_condition, #_condition)

/* Print an error of the environment, not of the kernel under test, and exit */
void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* A sequence of numbers that depends on the seed alone */
struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
static inline unsigned int random_below(struct random *random, unsigned int end)
{
	return random_next(random) % end;
}

struct device {
	const char *bdf;
	bool noiommu;
	bool intx;
	char node[64];
	char group[64];		/* of noiommu mode; empty: there is none */
};

/* Look the node up again after the device was bound to its driver again */
void device_find(struct device *device, const char *bdf);

/* System calls return a value that is not negative, or -errno */
int call(int fd, unsigned long cmd, void *arg);
int open_file(const char *path, int flags);

int device_bind(int fd, int iommufd, uint32_t *devid);
int device_attach(int fd, uint32_t *pt_id);
int device_detach(int fd);
int device_reset(int fd);
int device_can_reset(int fd);
/* The first BAR that can be mapped, or die. @region has its index, offset and size. */
void device_bar(int fd, struct vfio_region_info *region);
/* A dma-buf of its first page, which disabling memory decoding revokes */
int device_export_bar(int fd, uint32_t index);
/* Set or clear bits of the command register */
void device_command(int fd, uint16_t set, uint16_t clear);
/* Of QEMU's edu device: write zeroes to memory, 100 ms later. @regs is its BAR 0. */
void edu_start_dma(void *regs, uint64_t phys, uint64_t length);
bool edu_is_busy(void *regs);
int ioas_alloc(int iommufd, uint32_t *ioas_id);
int ioas_map(int iommufd, uint32_t ioas_id, void *va, uint64_t length,
	     uint64_t *iova, uint32_t flags);
int ioas_map_file(int iommufd, uint32_t ioas_id, int fd, uint64_t start,
		  uint64_t length, uint64_t *iova, uint32_t flags);
int ioas_copy(int iommufd, uint32_t dst_ioas, uint64_t *dst_iova,
	      uint32_t src_ioas, uint64_t src_iova, uint64_t length,
	      uint32_t flags);
int ioas_unmap(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length);
int hwpt_alloc(int iommufd, uint32_t dev_id, uint32_t pt_id, uint32_t *hwpt_id);
int destroy(int iommufd, uint32_t id);
int get_pa(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length,
	   uint64_t *phys);
/* Returns the number of extents */
int get_pa_array(int iommufd, uint32_t ioas_id, uint64_t iova, uint64_t *length,
		 struct iommu_noiommu_extent *extents, uint32_t max);

enum {
	MAP_ANY = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	MAP_AT = MAP_ANY | IOMMU_IOAS_MAP_FIXED_IOVA,
};

const char *errno_name(int error);

void write_file(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int try_write_file(const char *path, const char *text);
uint64_t read_counter(const char *path, const char *name);

/* Pinned pages, IOMMU page tables and the charge of a process */
struct usage {
	uint64_t pins;
	uint64_t table_pages;
	uint64_t vm_pin;	/* pages */
};

struct usage usage_now(void);
/* True as soon as the usage is as wanted; RCU may free tables later */
bool usage_becomes(struct usage want);

/* A device that is bound to an iommufd of its own and attached to an IOAS */
struct user {
	int iommufd;
	int fd;
	uint32_t devid;
	uint32_t ioas_id;
};

/* Returns -errno, and leaves nothing open, if a step fails */
int user_open(struct user *user, const char *node);
void user_close(struct user *user);

void *map_memory(uint64_t size, int flags);
/* Memory of two processes, with zeroes in it */
void *shared_memory(uint64_t size);
/* A process that is killed when this one ends */
pid_t fork_child(void);
/* Wait for the process, which must exit with status 0 */
bool succeeds(pid_t pid);
/* Kill the process with SIGKILL. False if it had ended by itself. */
bool kill_and_wait(pid_t pid);

uint64_t number_of(const char *text);
uint64_t pagemap_phys(void *va);
void set_capability(unsigned int cap, bool on);

/* Of stress, for a process that kills it: the number of its operations */
struct progress {
	atomic_ulong operations;
	atomic_uint op;
};

#endif /* COMMON_H */
