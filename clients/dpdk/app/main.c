/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 noiommu-cdev
 */

/*
 * Forward numbered frames between two ports on one hub and check each of them.
 *
 * A frame names the run, the port that sends it and its serial number there; its length and all
 * other bytes follow from these. What arrives at one port goes out of the other one as that
 * port's next frame, from the same mbuf, until both have sent --frames of them,
 * or as many as they have at SIGUSR1 (--until-signal). The pool is a
 * FIFO without a cache, so that all its mbufs take part. ../check-dump knows the same pattern.
 *
 * --external takes the mbufs from memory of the application, --again closes all devices and probes
 * them again after the pool was made. --hold keeps so many contiguous pieces of memory for the rings of
 * the ports, which are made after the pool.
 * With --start the program ends when EAL has started, with --lookup after it has looked up each
 * page of so many MiB with rte_mem_virt2phy(), with --register after it has registered so many MiB.
 * All of them print the time it takes.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#define MAGIC 0x6e6f696f
#define ETHER_TYPE 0x88b5 /* for local experiments */
#define TABLE_SIZE 65536
#define MIN_LENGTH 64
#define MAX_LENGTH 1514
#define RING_SIZE 512
#define WINDOW 64
#define BURST 32
#define STALL_SECONDS 60
#define PIECE (128 << 10) /* as much as the largest ring takes, and its alignment */
#define MAX_PIECES 32

struct frame {
	struct rte_ether_hdr ether;
	rte_be32_t magic;
	rte_be32_t run;
	rte_be32_t port;
	rte_be32_t serial;
	uint8_t pattern[];
} __rte_packed;

struct port {
	uint32_t tx, rx, bad;
};

static uint8_t table[TABLE_SIZE + MAX_LENGTH];
static struct port ports[2];
static uint32_t run, frames = 20000, mbufs = 8192, wrong, hold, lookup, enroll;
static bool external, again, start_only;
static volatile sig_atomic_t enough;
static struct rte_mempool *pool;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void
fill_table(void)
{
	uint32_t x = 1, i;

	for (i = 0; i < TABLE_SIZE; i++) {
		x = x * 1664525 + 1013904223;
		table[i] = x >> 24;
	}
	memcpy(table + TABLE_SIZE, table, MAX_LENGTH);
}

static uint32_t
frame_length(uint32_t serial)
{
	return MIN_LENGTH + serial * 7919u % (MAX_LENGTH - MIN_LENGTH + 1);
}

static const uint8_t *
frame_pattern(uint32_t port, uint32_t serial)
{
	return &table[(serial * 40503u + port * 977u + run * 331u) % TABLE_SIZE];
}

/* Make the mbuf the next frame that the port sends. */
static void
fill(struct rte_mbuf *m, uint32_t port)
{
	struct frame *f = rte_pktmbuf_mtod(m, struct frame *);
	uint32_t serial = ports[port].tx, length = frame_length(serial);

	memset(&f->ether.dst_addr, 0xff, sizeof(f->ether.dst_addr));
	f->ether.src_addr = (struct rte_ether_addr){ { 2, 0, 0, 0, 0, port } };
	f->ether.ether_type = rte_cpu_to_be_16(ETHER_TYPE);
	f->magic = rte_cpu_to_be_32(MAGIC);
	f->run = rte_cpu_to_be_32(run);
	f->port = rte_cpu_to_be_32(port);
	f->serial = rte_cpu_to_be_32(serial);
	memcpy(f->pattern, frame_pattern(port, serial), length - sizeof(*f));
	m->data_len = length;
	m->pkt_len = length;
}

/* Is it the next frame of the other port, byte for byte? */
static bool
right(struct rte_mbuf *m, uint32_t port)
{
	struct frame *f = rte_pktmbuf_mtod(m, struct frame *);
	uint32_t sender = !port, serial = ports[port].rx, length = frame_length(serial);

	return m->nb_segs == 1 && m->data_len == length &&
	       f->magic == rte_cpu_to_be_32(MAGIC) &&
	       f->run == rte_cpu_to_be_32(run) &&
	       f->port == rte_cpu_to_be_32(sender) &&
	       f->serial == rte_cpu_to_be_32(serial) &&
	       !memcmp(f->pattern, frame_pattern(sender, serial), length - sizeof(*f));
}

/* A mutant of the client: give some mbufs the address of another one that is in use. */
static int
make_wrong(void)
{
	struct rte_mbuf *m[2];
	uint32_t i;

	for (i = 0; i < wrong; i++) {
		if (rte_pktmbuf_alloc_bulk(pool, m, 2))
			return -1;
		rte_mbuf_iova_set(m[0], rte_mbuf_iova_get(m[1]));
		rte_pktmbuf_free(m[0]);
		rte_pktmbuf_free(m[1]);
	}
	return 0;
}

static int
start_port(uint16_t port)
{
	struct rte_eth_conf conf = { .link_speeds = 0 };
	int ret;

	ret = rte_eth_dev_configure(port, 1, 1, &conf);
	if (!ret)
		ret = rte_eth_rx_queue_setup(port, 0, RING_SIZE, rte_socket_id(), NULL, pool);
	if (!ret)
		ret = rte_eth_tx_queue_setup(port, 0, RING_SIZE, rte_socket_id(), NULL);
	if (!ret)
		ret = rte_eth_dev_start(port);
	return ret;
}

/* A frame that is sent before the link is up is lost. */
static int
wait_for_link(uint16_t port)
{
	struct rte_eth_link link = { .link_status = 0 };
	double start = now();

	while (now() - start < STALL_SECONDS) {
		if (!rte_eth_link_get_nowait(port, &link) && link.link_status)
			return 0;
		rte_delay_us_sleep(1000);
	}
	return -ETIMEDOUT;
}

static void
on_signal(int signal)
{
	RTE_SET_USED(signal);
	enough = 1;
}

static void
send_next(struct rte_mbuf *m, uint32_t port)
{
	if (ports[port].tx == frames) {
		rte_pktmbuf_free(m);
		return;
	}
	fill(m, port);
	while (!rte_eth_tx_burst(port, 0, &m, 1))
		;
	ports[port].tx++;
}

static int
forward(void)
{
	struct rte_mbuf *m[BURST];
	double last = now();
	uint32_t port, i;
	uint16_t n;

	for (port = 0; port < 2; port++) {
		for (i = 0; i < WINDOW; i++) {
			struct rte_mbuf *first = rte_pktmbuf_alloc(pool);

			if (!first)
				return -ENOMEM;
			send_next(first, port);
		}
	}

	while (ports[0].rx < frames || ports[1].rx < frames) {
		if (enough && frames == UINT32_MAX)
			frames = RTE_MAX(ports[0].tx, ports[1].tx);
		if (frames == UINT32_MAX)
			rte_delay_us_sleep(5000); /* the dump need not be huge */
		for (port = 0; port < 2; port++) {
			n = rte_eth_rx_burst(port, 0, m, BURST);
			for (i = 0; i < n; i++) {
				if (!right(m[i], port))
					ports[port].bad++;
				ports[port].rx++;
				send_next(m[i], !port);
			}
			if (n)
				last = now();
		}
		if (now() - last > STALL_SECONDS)
			return -ETIMEDOUT;
	}
	return 0;
}

struct extents {
	uint64_t pages, extents;
	rte_iova_t next;
};

static int
count_extents(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	struct extents *e = arg;

	e->pages += ms->len / 4096;
	if (ms->iova != e->next)
		e->extents++;
	e->next = ms->iova + ms->len;
	RTE_SET_USED(msl);
	return 0;
}

static struct rte_device *
port_device(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) ? NULL : info.device;
}

/* A heap of the application's own memory. Returns its socket or -1. */
static int
external_heap(void)
{
	const size_t length = (size_t)mbufs * 4096 + (4 << 20);
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint16_t port;

	if (memory == MAP_FAILED || rte_malloc_heap_create("external") ||
	    rte_malloc_heap_memory_add("external", memory, length, NULL, 0, 4096))
		return -1;
	if (!rte_dev_dma_map(port_device(0), memory, 0x1000, length)) {
		printf("frames: a wrong IOVA is accepted\n");
		return -1;
	}
	for (port = 0; port < 2; port++)
		if (rte_dev_dma_map(port_device(port), memory, RTE_BAD_IOVA, length))
			return -1;
	return rte_malloc_heap_get_socket("external");
}

/* Remove both devices, after which no device is open, and probe them again. */
static int
replug(void)
{
	char names[2][RTE_ETH_NAME_MAX_LEN];
	rte_iova_t before = rte_mem_virt2phy(pool);
	uint16_t port;

	for (port = 0; port < 2; port++)
		if (rte_eth_dev_get_name_by_port(port, names[port]))
			return -1;
	for (port = 0; port < 2; port++) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
		if (rte_eal_hotplug_remove("pci", names[port]))
			return -1;
	}
	if (rte_eth_dev_count_avail() || before == RTE_BAD_IOVA || rte_mem_virt2phy(pool) != before)
		return -1;
	for (port = 0; port < 2; port++)
		if (rte_eal_hotplug_add("pci", names[port], ""))
			return -1;
	return rte_eth_dev_count_avail() == 2 ? 0 : -1;
}

/* Look up each page of the application's memory, as it is done where nothing pins memory. */
static int
look_up(void)
{
	const size_t length = (size_t)lookup << 20;
	size_t off, bad = 0;
	double start;
	char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mlock(memory, length))
		return 1;
	start = now();
	for (off = 0; off < length; off += 4096)
		bad += rte_mem_virt2phy(memory + off) == RTE_BAD_IOVA;
	printf("frames: lookup ms=%.0f pages=%zu bad=%zu\n", (now() - start) * 1e3, length / 4096,
	       bad);
	return bad != 0;
}

/* Pin memory of the application, which is resident, and take its addresses. */
static int
register_memory(void)
{
	const size_t length = (size_t)enroll << 20;
	double start;
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED || rte_extmem_register(memory, length, NULL, 0, 4096))
		return 1;
	start = now();
	if (rte_dev_dma_map(port_device(0), memory, RTE_BAD_IOVA, length))
		return 1;
	printf("frames: register ms=%.0f pages=%zu\n", (now() - start) * 1e3, length / 4096);
	return 0;
}

static int
hold_pieces(const struct rte_memzone **held)
{
	char name[RTE_MEMZONE_NAMESIZE];
	uint32_t i;

	for (i = 0; i < hold && i < MAX_PIECES; i++) {
		snprintf(name, sizeof(name), "held %u", i);
		held[i] = rte_memzone_reserve(name, PIECE, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG);
		if (!held[i]) {
			printf("frames: %u of %u contiguous pieces\n", i, hold);
			return -1;
		}
	}
	return 0;
}

static int
run_ports(void)
{
	struct extents memory = { .next = RTE_BAD_IOVA };
	struct rte_eth_stats stats;
	struct rte_eth_dev_info info;
	uint16_t port;
	const struct rte_memzone *held[MAX_PIECES] = { NULL };
	double start;
	int ret, bad = 0, socket = rte_socket_id();

	if (rte_eth_dev_count_avail() != 2) {
		printf("frames: %u ports, not 2\n", rte_eth_dev_count_avail());
		return 1;
	}
	if (external)
		socket = external_heap();
	if (hold_pieces(held))
		return 1;
	if (socket >= 0)
		pool = rte_pktmbuf_pool_create("frames", mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					       socket);
	if (!pool || make_wrong()) {
		printf("frames: no pool: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	for (ret = 0; ret < MAX_PIECES && held[ret]; ret++)
		rte_memzone_free(held[ret]);
	rte_memseg_walk(count_extents, &memory);
	printf("frames: memory pages=%" PRIu64 " extents=%" PRIu64 " pool=%u\n", memory.pages,
	       memory.extents, pool->nb_mem_chunks);
	if (again && replug()) {
		printf("frames: devices do not come back: %s\n", rte_strerror(rte_errno));
		return 1;
	}

	for (port = 0; port < 2; port++) {
		ret = start_port(port);
		if (ret) {
			printf("frames: port %u does not start: %s\n", port, strerror(-ret));
			return 1;
		}
	}
	for (port = 0; port < 2; port++) {
		ret = wait_for_link(port);
		if (ret) {
			printf("frames: port %u has no link\n", port);
			return 1;
		}
	}

	printf("frames: started\n");
	fflush(stdout);
	start = now();
	ret = forward();
	if (ret)
		printf("frames: stopped: %s\n", strerror(-ret));
	for (port = 0; port < 2; port++) {
		rte_eth_dev_info_get(port, &info);
		rte_eth_stats_get(port, &stats);
		printf("frames: run=%u port=%u driver=%s tx=%u rx=%u bad=%u nic_tx=%" PRIu64
		       " nic_rx=%" PRIu64 "\n", run, port, info.driver_name, ports[port].tx,
		       ports[port].rx, ports[port].bad, stats.opackets, stats.ipackets);
		if (ports[port].bad || ports[port].tx != frames || ports[port].rx != frames)
			bad = 1;
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	printf("frames: seconds=%.1f\n", now() - start);
	return ret || bad;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run", required_argument, NULL, 'r' },
		{ "frames", required_argument, NULL, 'f' },
		{ "until-signal", no_argument, NULL, 'u' },
		{ "mbufs", required_argument, NULL, 'm' },
		{ "wrong", required_argument, NULL, 'w' },
		{ "external", no_argument, NULL, 'e' },
		{ "again", no_argument, NULL, 'a' },
		{ "hold", required_argument, NULL, 'h' },
		{ "start", no_argument, NULL, 's' },
		{ "lookup", required_argument, NULL, 'l' },
		{ "register", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	double start = now();
	int c, ret;

	ret = rte_eal_init(argc, argv);
	if (ret < 0) {
		printf("frames: EAL did not start: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	printf("frames: eal_init ms=%.0f\n", (now() - start) * 1e3);
	argc -= ret;
	argv += ret;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			run = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			frames = strtoul(optarg, NULL, 0);
			break;
		case 'u':
			frames = UINT32_MAX;
			signal(SIGUSR1, on_signal);
			break;
		case 'm':
			mbufs = strtoul(optarg, NULL, 0);
			break;
		case 'w':
			wrong = strtoul(optarg, NULL, 0);
			break;
		case 'e':
			external = true;
			break;
		case 'a':
			again = true;
			break;
		case 'h':
			hold = strtoul(optarg, NULL, 0);
			break;
		case 's':
			start_only = true;
			break;
		case 'l':
			lookup = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			enroll = strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}

	if (lookup) {
		ret = look_up();
	} else if (enroll) {
		ret = register_memory();
	} else if (start_only) {
		ret = 0;
	} else {
		fill_table();
		ret = run_ports();
	}
	rte_eal_cleanup();
	return ret;
}
