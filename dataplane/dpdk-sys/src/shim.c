#include "shim.h"

int penstock_errno(void)
{
	return rte_errno;
}

unsigned int penstock_lcore_id(void)
{
	return rte_lcore_id();
}

uint16_t penstock_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, packets, count);
}

uint16_t penstock_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, packets, count);
}

struct rte_mbuf *penstock_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

int penstock_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, packets, count);
}

void penstock_mbuf_free(struct rte_mbuf *packet)
{
	rte_pktmbuf_free(packet);
}

int penstock_mbuf_linearize(struct rte_mbuf *packet)
{
	return rte_pktmbuf_linearize(packet);
}

unsigned int penstock_ring_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **packets, unsigned int count)
{
	return rte_ring_enqueue_burst(ring, (void *const *)packets, count, NULL);
}

unsigned int penstock_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **packets, unsigned int count)
{
	return rte_ring_dequeue_burst(ring, (void **)packets, count, NULL);
}

unsigned int penstock_ring_count(const struct rte_ring *ring)
{
	return rte_ring_count(ring);
}
