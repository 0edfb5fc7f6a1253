"""Network namespaces around the appliance: a client, two web servers, and one in which QEMU runs."""

import os
import subprocess
import sys
from pathlib import Path

MEMBER = Path(__file__).with_name("member.py")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Network:
    """Made when entered, removed when left. Peers keep their offloads on, as real machines do."""

    def __init__(self, single: bool) -> None:
        self.single = single
        self.prefix = f"boot{os.getpid()}-"
        self.client = "198.18.1.2"
        self.members = ["198.18.1.11", "198.18.1.12"] if single else ["198.18.2.11", "198.18.2.12"]
        self.front, self.back, self.appliance = "198.18.1.1", "198.18.2.1", "198.18.1.1"
        self.virtual_ip = "198.18.1.100"
        self.bridges = ["front"] if single else ["front", "back"]
        self.servers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Network":
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()
            server.wait()
        for role in ["client", "member1", "member2", "qemu"]:
            subprocess.run(["ip", "netns", "delete", self.prefix + role], stderr=subprocess.DEVNULL, check=False)

    def inside(self, role: str, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.prefix + role, *command]

    def tap(self, bridge: str) -> str:
        return f"tap-{bridge}"

    def _make(self) -> None:
        for role in ["qemu", "client", "member1", "member2"]:
            ip("netns", "add", self.prefix + role)
            ip("-n", self.prefix + role, "link", "set", "lo", "up")
        for bridge in self.bridges:
            self._bridge(bridge)
        self._attach("client", "front", self.client, gateway=None)
        for number, address in enumerate(self.members, 1):
            self._attach(f"member{number}", self.bridges[-1], address, gateway=self._members_gateway())
            self._serve(f"member{number}", f"member-{number}", address)
        if self.single:
            # The host's own way to the appliance's API.
            ip("-n", self.prefix + "qemu", "address", "add", "198.18.1.3/24", "dev", "br-front")

    def _members_gateway(self) -> str:
        return self.appliance if self.single else self.back

    def _bridge(self, name: str) -> None:
        qemu = ["-n", self.prefix + "qemu"]
        ip(*qemu, "link", "add", f"br-{name}", "type", "bridge")
        ip(*qemu, "link", "set", f"br-{name}", "up")
        ip(*qemu, "tuntap", "add", self.tap(name), "mode", "tap", "vnet_hdr")
        ip(*qemu, "link", "set", self.tap(name), "master", f"br-{name}", "up")

    def _attach(self, role: str, bridge: str, address: str, gateway: str | None) -> None:
        own, qemu = self.prefix + role, self.prefix + "qemu"
        peer = ["type", "veth", "peer", "name", "eth0", "netns", own]
        ip("link", "add", role, "netns", qemu, *peer)
        ip("-n", qemu, "link", "set", role, "master", f"br-{bridge}", "up")
        ip("-n", own, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", own, "link", "set", "eth0", "up")
        if self.single and gateway:
            # Replies to a client of the same network must come back through the appliance.
            ip("-n", own, "route", "replace", f"{self.client}/32", "via", gateway, "dev", "eth0")
        elif gateway:
            ip("-n", own, "route", "add", "default", "via", gateway)

    def _serve(self, role: str, name: str, address: str) -> None:
        command = self.inside(role, [sys.executable, str(MEMBER), name, address])
        self.servers.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        # It says so when it listens.
        assert self.servers[-1].stdout and self.servers[-1].stdout.readline(), f"{name} did not start"
