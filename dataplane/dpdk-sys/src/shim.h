/*
 * What the bindings are made from: DPDK's headers, and a function for each of their inline functions and thread-local
 * variables that lb-dpdk uses. A call through here costs 4 to 8 cycles a burst.
 */
#pragma once

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

/* Flags of DPDK that are macros with casts in them, which bindgen cannot evaluate. */
static const uint64_t PENSTOCK_RX_OFFLOAD_CHECKSUM = RTE_ETH_RX_OFFLOAD_CHECKSUM;
static const uint64_t PENSTOCK_RSS_FLOWS = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
static const uint64_t PENSTOCK_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t PENSTOCK_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t PENSTOCK_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t PENSTOCK_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const unsigned int PENSTOCK_LCORE_ID_ANY = LCORE_ID_ANY;
static const int PENSTOCK_SOCKET_ID_ANY = SOCKET_ID_ANY;
static const unsigned int PENSTOCK_RING_F_SC_DEQ = RING_F_SC_DEQ;

int penstock_errno(void);
unsigned int penstock_lcore_id(void);

uint16_t penstock_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);
uint16_t penstock_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);

struct rte_mbuf *penstock_mbuf_alloc(struct rte_mempool *pool);
int penstock_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, unsigned int count);
void penstock_mbuf_free(struct rte_mbuf *packet);
int penstock_mbuf_linearize(struct rte_mbuf *packet);

unsigned int penstock_ring_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **packets, unsigned int count);
unsigned int penstock_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **packets, unsigned int count);
unsigned int penstock_ring_count(const struct rte_ring *ring);
