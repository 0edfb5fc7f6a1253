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
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Twice what a plan may have: while one takes the place of another, both are in.
#define MAX_ENDPOINTS 262144
#define MAX_ADDRESSES 262144
#define MAX_QUEUES 256

// Extension headers that are followed, at most: as many as the plane follows.
#define MAX_EXTENSIONS 8

// RFC 792. The kernel's own header needs a C library for another machine than this.
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12

// RFC 4443.
#define ICMPV6_UNREACHABLE 1
#define ICMPV6_PARAMETER_PROBLEM 4

#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET 0x1fff

struct endpoint {
	__be32 address;
	__u8 zero;
	__u8 protocol;
	__be16 port; // last, so that ports can be known by the first bits of their number
};

// IPv6 has keys and maps of its own: a longer key for all would slow IPv4.
struct endpoint6 {
	struct in6_addr address;
	__u8 zero;
	__u8 protocol;
	__be16 port;
};

// Several ports of an address: those of `end` that have so many bits in common. Looked up with all of them.
struct some_ports {
	__u32 bits;
	struct endpoint end;
};

struct some_ports6 {
	__u32 bits;
	struct endpoint6 end;
};

struct endpoint_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct endpoint);
	__type(value, __u8);
};

struct ports_set {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct some_ports);
	__type(value, __u8);
};

struct address_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ADDRESSES);
	__type(key, __be32);
	__type(value, __u8);
};

struct endpoint6_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct endpoint6);
	__type(value, __u8);
};

struct ports6_set {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct some_ports6);
	__type(value, __u8);
};

struct address6_set {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ADDRESSES);
	__type(key, struct in6_addr);
	__type(value, __u8);
};

// Packets to one of these are ours.
struct endpoint_set services SEC(".maps");
// And packets to one of these ports.
struct ports_set service_ranges SEC(".maps");
// The addresses of both: fragments to them are ours whatever their port, which only the first one names.
struct address_set service_addrs SEC(".maps");
// Packets from one of these are ours, unless they are for this host.
struct endpoint_set members SEC(".maps");
// And from one of these ports, likewise.
struct ports_set member_ranges SEC(".maps");
// The addresses of both: fragments from them are ours whatever their port, unless they are for this host.
struct address_set member_addrs SEC(".maps");
// The addresses of this host.
struct address_set locals SEC(".maps");
// Of these the ones that members see in the place of clients: what members send to them is ours.
struct address_set local_addrs SEC(".maps");

// The same of IPv6.
struct endpoint6_set services6 SEC(".maps");
struct ports6_set service_ranges6 SEC(".maps");
struct address6_set service_addrs6 SEC(".maps");
struct endpoint6_set members6 SEC(".maps");
struct ports6_set member_ranges6 SEC(".maps");
struct address6_set member_addrs6 SEC(".maps");
struct address6_set locals6 SEC(".maps");
struct address6_set local_addrs6 SEC(".maps");

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

// Whether an end is one of a set, or has one of these ports.
static __always_inline bool is_one_of(void *ends, void *ranges, const struct endpoint *end)
{
	struct some_ports ports = { .bits = sizeof(*end) * 8, .end = *end };
	return holds(ends, end) || holds(ranges, &ports);
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
	if (is_one_of(&services, &service_ranges, &from))
		return true;

	struct endpoint to = { .address = quoted->daddr, .port = ports->destination, .protocol = quoted->protocol };
	return is_one_of(&members, &member_ranges, &to) && leads_to_clients(&ip->daddr);
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
	if (fragment)
		return holds(&service_addrs, &ip->daddr) ||
		       (holds(&member_addrs, &ip->saddr) && leads_to_clients(&ip->daddr));

	const struct ports *ports = (const void *)ip + ip->ihl * 4;
	if ((const void *)(ports + 1) > end)
		return false;

	struct endpoint to = { .address = ip->daddr, .port = ports->destination, .protocol = ip->protocol };
	if (is_one_of(&services, &service_ranges, &to))
		return true;

	struct endpoint from = { .address = ip->saddr, .port = ports->source, .protocol = ip->protocol };
	if (is_one_of(&members, &member_ranges, &from))
		return leads_to_clients(&ip->daddr);
	// A member that is asked past the appliance answers so to one client alone that lives here: our own check.
	return is_one_of(&services, &service_ranges, &from) && holds(&locals, &ip->daddr);
}

// The first 8 bytes of an extension header: of a fragment's, all.
struct extension {
	__u8 next;
	__u8 len; // in units of 8 bytes, the first of them not counted
	__u8 offset_high;
	__u8 last; // segments left of a route; of a fragment the rest of the offset, and whether more follow
	__be32 more;
};

// Where the extension headers of an IPv6 packet lead, or as far as they are followed: to a fragment's, or to one too many. In
// one word, as functions return no more: bytes from the frame's beginning, the protocol there, and what it is a piece of.
#define CHAIN(at, protocol, piece) ((__u32)(at) << 16 | (__u32)(protocol) << 8 | (piece))
#define CHAIN_AT(chain) ((chain) >> 16 & 0x7fff)
#define CHAIN_PROTOCOL(chain) ((__u8)((chain) >> 8))
#define CHAIN_PIECE(chain) ((chain) & 0xff)
// The packet ends before, or is under way to another destination.
#define NOWHERE 0

enum piece {
	WHOLE,
	FIRST_FRAGMENT,
	LATER_FRAGMENT,
};

static __always_inline bool is_extension(__u8 type, int count)
{
	return (type == IPPROTO_HOPOPTS && count == 0) || type == IPPROTO_ROUTING || type == IPPROTO_FRAGMENT ||
	       type == IPPROTO_DSTOPTS;
}

// Global, and so examined by itself: within its callers its branches would be multiplied by theirs.
__attribute__((noinline)) __u32 follow(struct xdp_md *ctx, __u32 at, __u32 protocol)
{
	for (int count = 0; count < MAX_EXTENSIONS; count++) {
		if (!is_extension(protocol, count))
			break;
		struct extension extension;
		if (bpf_xdp_load_bytes(ctx, at, &extension, sizeof(extension)))
			return NOWHERE;
		at += sizeof(extension);
		if (protocol == IPPROTO_FRAGMENT) {
			if (extension.offset_high || extension.last & 0xf8)
				return CHAIN(at, extension.next, LATER_FRAGMENT);
			// One that is neither preceded nor followed by others is whole (RFC 6946).
			if (extension.last & 1)
				return CHAIN(at, extension.next, FIRST_FRAGMENT);
		} else {
			if (protocol == IPPROTO_ROUTING && extension.last)
				return NOWHERE;
			at += extension.len * 8;
		}
		protocol = extension.next;
	}
	return CHAIN(at, protocol, WHOLE);
}

static __always_inline __u32 chain_of(struct xdp_md *ctx, const struct ipv6hdr *ip)
{
	__u32 at = (const void *)(ip + 1) - (const void *)(long)ctx->data;
	return is_extension(ip->nexthdr, 0) ? follow(ctx, at, ip->nexthdr) : CHAIN(at, ip->nexthdr, WHOLE);
}

static __always_inline bool is_one_of6(void *ends, void *ranges, const struct endpoint6 *end)
{
	struct some_ports6 ports = { .bits = sizeof(*end) * 8, .end = *end };
	return holds(ends, end) || holds(ranges, &ports);
}

static __always_inline bool leads_to_clients6(const struct in6_addr *address)
{
	return !holds(&locals6, address) || holds(&local_addrs6, address);
}

static __always_inline bool
icmpv6_error_is_ours(struct xdp_md *ctx, const struct ipv6hdr *ip, const void *message, const void *end)
{
	const struct icmp_error *icmp = message;
	const struct ipv6hdr *quoted = (const void *)(icmp + 1);
	if ((const void *)(quoted + 1) > end)
		return false;
	if (icmp->type < ICMPV6_UNREACHABLE || icmp->type > ICMPV6_PARAMETER_PROBLEM || quoted->version != 6)
		return false;

	__u32 chain = chain_of(ctx, quoted);
	if (chain == NOWHERE || CHAIN_PIECE(chain) == LATER_FRAGMENT || !is_balanced(CHAIN_PROTOCOL(chain)))
		return false;
	const struct ports *ports = (const void *)(long)ctx->data + CHAIN_AT(chain);
	if ((const void *)(ports + 1) > end)
		return false;

	__u8 protocol = CHAIN_PROTOCOL(chain);
	struct endpoint6 from = { .address = quoted->saddr, .port = ports->source, .protocol = protocol };
	if (is_one_of6(&services6, &service_ranges6, &from))
		return true;

	struct endpoint6 to = { .address = quoted->daddr, .port = ports->destination, .protocol = protocol };
	return is_one_of6(&members6, &member_ranges6, &to) && leads_to_clients6(&ip->daddr);
}

static __always_inline bool ipv6_is_ours(struct xdp_md *ctx, const struct ipv6hdr *ip, const void *end)
{
	if ((const void *)(ip + 1) > end || ip->version != 6)
		return false;

	__u32 chain = chain_of(ctx, ip);
	__u32 piece = CHAIN_PIECE(chain);
	__u8 protocol = CHAIN_PROTOCOL(chain);
	const void *payload = (const void *)(long)ctx->data + CHAIN_AT(chain);
	if (chain == NOWHERE)
		return false;
	if (protocol == IPPROTO_ICMPV6)
		return piece == WHOLE && icmpv6_error_is_ours(ctx, ip, payload, end);
	// What follows was not looked for, and may be of a service.
	bool unknown = is_extension(protocol, MAX_EXTENSIONS);
	if (!unknown && !is_balanced(protocol))
		return false;
	if ((piece != WHOLE || unknown) && holds(&service_addrs6, &ip->daddr))
		return true;
	if (piece != WHOLE)
		return holds(&member_addrs6, &ip->saddr) && leads_to_clients6(&ip->daddr);
	if (unknown)
		return false;

	const struct ports *ports = payload;
	if ((const void *)(ports + 1) > end)
		return false;

	struct endpoint6 to = { .address = ip->daddr, .port = ports->destination, .protocol = protocol };
	if (is_one_of6(&services6, &service_ranges6, &to))
		return true;

	struct endpoint6 from = { .address = ip->saddr, .port = ports->source, .protocol = protocol };
	if (is_one_of6(&members6, &member_ranges6, &from))
		return leads_to_clients6(&ip->daddr);
	return is_one_of6(&services6, &service_ranges6, &from) && holds(&locals6, &ip->daddr);
}

// Tagged frames are the kernel's: their EtherType is that of the tag.
static __always_inline bool is_ours(struct xdp_md *ctx)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)(long)ctx->data;

	if ((const void *)(eth + 1) > end)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ipv4_is_ours((const void *)(eth + 1), end);
	return eth->h_proto == bpf_htons(ETH_P_IPV6) && ipv6_is_ours(ctx, (const void *)(eth + 1), end);
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
