// SPDX-License-Identifier: Apache-2.0
//
// Which packets of a shared network card are the layer-4 plane's. Runs on every received frame, before the kernel's stack.
//
// What is ours goes to the AF_XDP socket of its queue, or is dropped where no socket is: the kernel holds our addresses for
// ARP and VRRP, knows nothing of our connections, and would answer them with resets. All else passes to the kernel.
//
// The names of the program, of `xsks_map` and of `xsk_prog_version` are libxdp's: it looks for them before it would load a
// program of its own, and puts the plane's sockets into that map (xsk_lookup_program in libxdp's xsk.c). It detaches a
// program when its count of users falls to zero; this one has no such count (`refcnt`), and so is never detached.
//
// Nothing here is a global variable: those would become maps of their own. appliance/host loads, pins and fills it.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Twice what a plan may have: while one takes the place of another, both are in.
#define MAX_ENDPOINTS 262144
#define MAX_ADDRESSES 262144
#define MAX_QUEUES 256

// RFC 792. The kernel's own header needs a C library for another machine than this.
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12

#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET 0x1fff

// IPv6 will have a key, and maps, of its own: a longer key for all would slow IPv4.
struct endpoint {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

struct endpoint_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct endpoint);
	__type(value, __u8);
};

struct address_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ADDRESSES);
	__type(key, __be32);
	__type(value, __u8);
};

// Packets to one of these are ours.
struct endpoint_set services SEC(".maps");
// The addresses of `services`: fragments to them are ours whatever their port, which only the first one names.
struct address_set service_addrs SEC(".maps");
// Packets from one of these are ours, unless they are for this host.
struct endpoint_set members SEC(".maps");
// The addresses of this host.
struct address_set locals SEC(".maps");
// Of these the ones that members see in the place of clients: what members send to them is ours.
struct address_set local_addrs SEC(".maps");

// The plane's sockets by receive queue.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, MAX_QUEUES);
} xsks_map SEC(".maps");

enum counter {
	PASSED,   // given to the kernel
	STEERED,  // given to the plane
	SILENCED, // ours, but no plane is there
	COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &which);
	if (counter)
		*counter += 1;
}

static __always_inline bool holds(void *set, const void *key)
{
	return bpf_map_lookup_elem(set, key) != NULL;
}

// The header of an ICMP error; the packet that it is about follows.
struct icmp_error {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 more;
};

// The first 4 bytes of every transport header that we balance.
struct ports {
	__be16 source;
	__be16 destination;
};

// Whether a member's packet to there is on its way to a client.
static __always_inline bool leads_to_clients(const __be32 *address)
{
	return !holds(&locals, address) || holds(&local_addrs, address);
}

static __always_inline bool is_balanced(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

// An error is ours if the packet that it quotes was sent from a service, or to a member and not by this host.
static __always_inline bool icmp_error_is_ours(const struct iphdr *ip, const void *end)
{
	const struct icmp_error *icmp = (const void *)ip + ip->ihl * 4;
	const struct iphdr *quoted = (const void *)(icmp + 1);
	if ((const void *)(quoted + 1) > end || ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET))
		return false;
	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED && icmp->type != ICMP_PARAMETER_PROBLEM)
		return false;
	if (quoted->version != 4 || quoted->ihl < 5 || !is_balanced(quoted->protocol))
		return false;
	if (quoted->frag_off & bpf_htons(IP_OFFSET))
		return false;

	const struct ports *ports = (const void *)quoted + quoted->ihl * 4;
	if ((const void *)(ports + 1) > end)
		return false;

	struct endpoint from = { .address = quoted->saddr, .port = ports->source, .protocol = quoted->protocol };
	if (holds(&services, &from))
		return true;

	struct endpoint to = { .address = quoted->daddr, .port = ports->destination, .protocol = quoted->protocol };
	return holds(&members, &to) && leads_to_clients(&ip->daddr);
}

static __always_inline bool ipv4_is_ours(const struct iphdr *ip, const void *end)
{
	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return false;
	if (ip->protocol == IPPROTO_ICMP)
		return icmp_error_is_ours(ip, end);
	if (!is_balanced(ip->protocol))
		return false;

	__u16 fragment = bpf_ntohs(ip->frag_off) & (IP_MORE_FRAGMENTS | IP_OFFSET);
	if (fragment && holds(&service_addrs, &ip->daddr))
		return true;
	if (fragment & IP_OFFSET)
		return false;

	const struct ports *ports = (const void *)ip + ip->ihl * 4;
	if ((const void *)(ports + 1) > end)
		return false;

	struct endpoint to = { .address = ip->daddr, .port = ports->destination, .protocol = ip->protocol };
	if (holds(&services, &to))
		return true;

	struct endpoint from = { .address = ip->saddr, .port = ports->source, .protocol = ip->protocol };
	return holds(&members, &from) && leads_to_clients(&ip->daddr);
}

// Tagged frames are the kernel's: their EtherType is that of the tag.
static __always_inline bool is_ours(const struct xdp_md *ctx)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)(long)ctx->data;

	if ((const void *)(eth + 1) > end)
		return false;
	return eth->h_proto == bpf_htons(ETH_P_IP) && ipv4_is_ours((const void *)(eth + 1), end);
}

SEC("xdp")
int xsk_def_prog(struct xdp_md *ctx)
{
	if (!is_ours(ctx)) {
		count(PASSED);
		return XDP_PASS;
	}
	long verdict = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
	count(verdict == XDP_REDIRECT ? STEERED : SILENCED);
	return verdict;
}

// A declaration that lives in the type information alone: the version of libxdp's convention that is followed.
__uint(xsk_prog_version, 1) SEC("xdp_metadata");

char _license[] SEC("license") = "Apache-2.0";
