"""What the tests let the appliance do: a virtual service on port 80, with a pool of two members."""

import argparse
import collections
import subprocess

from api import Api
from network import Network

REQUESTS = 20


def seed(network: Network, chosen: argparse.Namespace) -> str:
    """What the appliance is told at its start. Without an address for management it asks DHCP."""
    if chosen.single:
        return f"management.address={network.appliance}/24\n"
    return "".join(
        f"port.{number}.address={address}/24\nport.{number}.driver={chosen.ports}\n"
        for number, address in [(1, network.front), (2, network.back)]
    )


def configure(api: Api, network: Network) -> None:
    virtual_ip = api.create("virtual-ips", name="front", address=network.virtual_ip)
    pool = api.create("pools", name="web", algorithm="round_robin")
    for number, address in enumerate(network.members, 1):
        api.create(f"pools/{pool}/members", name=f"member-{number}", address=address, port=80)
    service = {"name": "web", "virtual_ip_ids": [virtual_ip], "default_pool_id": pool}
    api.create("virtual-services", protocol="tcp", port=80, **service)
    api.await_applied()


def check(network: Network) -> None:
    """Each member answers as often as the other."""
    answers = _ask(network)
    expected = {name: REQUESTS // 2 for name in ["member-1", "member-2"]}
    if answers != expected:
        raise AssertionError(f"of {REQUESTS} answers {dict(answers)} came, not {expected}")


def _ask(network: Network) -> collections.Counter[str]:
    curl = ["curl", "--silent", "--show-error", "--max-time", "10", f"http://{network.virtual_ip}/"]
    return collections.Counter(
        subprocess.run(network.inside("client", curl), capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(REQUESTS)
    )
