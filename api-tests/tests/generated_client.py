"""Creates a service with the client that was generated from the API's description, and prints its identifier."""

import ssl
import sys

from penstock_client import AuthenticatedClient
from penstock_client.api.pools import create_member, create_pool
from penstock_client.api.virtual_ips import create_virtual_ip
from penstock_client.api.virtual_services import (
    create_virtual_service,
    list_virtual_services,
    patch_virtual_service,
    read_virtual_service,
)
from penstock_client.models import (
    MemberSpec,
    PoolSpec,
    Problem,
    Protocol,
    VirtualIpSpec,
    VirtualServicePatch,
    VirtualServiceSpec,
)

address, token, certificate = sys.argv[1:]
client = AuthenticatedClient(
    base_url=address,
    token=token,
    verify_ssl=ssl.create_default_context(cafile=certificate),
    raise_on_unexpected_status=True,
)

virtual_ip = create_virtual_ip.sync(client=client, body=VirtualIpSpec(name="front", address="192.0.2.10"))
pool = create_pool.sync(client=client, body=PoolSpec(name="web"))
for last in (1, 2):
    member = MemberSpec(address=f"198.51.100.{last}", port=8080, weight=last)
    assert create_member.sync(pool.id, client=client, body=member).weight == last
spec = VirtualServiceSpec(
    name="shop", virtual_ip_ids=[virtual_ip.id], protocol=Protocol.TCP, port=80, default_pool_id=pool.id
)
created = create_virtual_service.sync(client=client, body=spec, idempotency_key="once")
again = create_virtual_service.sync(client=client, body=spec, idempotency_key="once")
assert again.id == created.id

# What is wrong comes as a problem that names the field.
refused = create_virtual_service.sync(client=client, body=spec)
assert isinstance(refused, Problem) and refused.status == 409, refused
assert "/name" in [fault.pointer for fault in refused.errors], refused

read = read_virtual_service.sync_detailed(created.id, client=client)
patch = VirtualServicePatch(description="made by a generated client")
changed = patch_virtual_service.sync(created.id, client=client, body=patch, if_match=read.headers["etag"])
assert changed.generation > created.generation, changed
stale = patch_virtual_service.sync(created.id, client=client, body=patch, if_match=read.headers["etag"])
assert isinstance(stale, Problem) and stale.status == 412, stale
assert [it.name for it in list_virtual_services.sync(client=client, port=80).items] == ["shop"]
print(created.id)
