// SPDX-License-Identifier: Apache-2.0
//
// Passes every packet of a card that AF_PACKET takes copies from. What matters is that it is there: a driver that runs an XDP
// program hands frames over as they were on the wire, and no longer joined (LRO), nor unsplit by a peer on the same machine
// (TSO). Such frames are larger than any network takes, and the plane could not send them on.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pst_pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char _license[] SEC("license") = "Apache-2.0";
