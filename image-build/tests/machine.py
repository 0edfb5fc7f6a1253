"""QEMU with the image in it. What the image writes stays in a file beside it, and goes when the machine is left."""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from disk import Disk
from network import Network

# Seconds. QEMU emulates the processor, on machines that do other things too.
BOOTING, SHUTTING_DOWN = int(os.environ.get("PENSTOCK_BOOTING", "900")), 300
API_PORT = 8443
# Another address in QEMU's network for management, and where the host reaches the API there.
MOVED, MOVED_PORT = "10.0.2.20", 8444
# Where an emulated machine gets no processor for a while, its clock seems broken to the kernel: that is no fault of the image.
EMULATION_FAILED = "IO-APIC + timer doesn't work"
# Code and variables; those of Secure Boot hold Microsoft's keys.
FIRMWARE = {
    "uefi": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "secure-boot": ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
}


@dataclass
class Screen:
    """What the appliance shows to whoever stands in front of it."""

    address: str
    fingerprint: str
    claim_code: str | None


def drain(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while line.recv(1 << 16):
            pass


class Machine:
    """Each time it is started it writes its serial line anew. A restart ends QEMU: it is for the test to start it again."""

    def __init__(self, chosen: argparse.Namespace, network: Network, seed: str | None, more: tuple[str, ...] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-boot-"))
        self.serial, self.qmp, self.typed = self.folder / "serial.log", self.folder / "qmp", self.folder / "line"
        if seed is not None:
            (self.folder / "seed").write_text(seed)
            more = (*more, "-fw_cfg", f"name=opt/penstock/seed,file={self.folder}/seed")
        self.chosen, self.network, self.more = chosen, network, more
        self.line: socket.socket | None = None
        self.disk = Disk(self.folder / "disk.qcow2", chosen.image)
        self.made = self.started = time.monotonic()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        if self.chosen.firmware in FIRMWARE:
            shutil.copy(f"/usr/share/OVMF/{FIRMWARE[self.chosen.firmware][1]}", self.folder / "variables.fd")
        self.start()
        return self

    def start(self) -> None:
        self.serial.unlink(missing_ok=True)
        self.read = 0
        self.line = None
        command = ["qemu-system-x86_64", *self._hardware(), *self._cards(), *self.more]
        self.process = subprocess.Popen(self.network.inside("qemu", command))
        self.started = time.monotonic()

    def cut_power(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def await_off(self) -> None:
        assert self.process
        self.process.wait(BOOTING)

    def __exit__(self, kind: object, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.cut_power()
        if kind and self.serial.exists():
            print("The end of what it wrote on its serial line:")
            print(self.serial_text()[-6000:])
        shutil.rmtree(self.folder)

    def step(self, text: str) -> None:
        print(f"[{time.monotonic() - self.made:5.0f} s] {text}", flush=True)

    def await_screen(self) -> Screen:
        pattern = re.compile(
            r"API +https://(?P<address>[0-9.]+):.*?"
            r"Certificate +SHA-256 (?P<fingerprint>[0-9A-F:]{95}).*?"
            r"(Claim code +(?P<claim_code>[0-9A-Z-]{24})|It is claimed)",
            re.DOTALL,
        )
        while not (match := pattern.search(self.serial_text())):
            self.check("it has not shown where it is")
            time.sleep(0.5)
        return Screen(**match.groupdict())

    def await_serial(self, text: str) -> None:
        while text not in self.serial_text():
            self.check(f"it has not said: {text}")
            time.sleep(0.5)

    def type(self, text: str, after: str) -> None:
        """Types a line on its serial line, once it has written `after` since the last one."""
        while after not in self.serial_text()[self.read :]:
            self.check(f"it has not asked: {after}")
            time.sleep(0.3)
        self.read = len(self.serial_text())
        if not self.line:
            self.line = socket.socket(socket.AF_UNIX)
            self.line.connect(str(self.typed))
            # QEMU waits for whoever is connected to read what it writes; here it is read from the file.
            threading.Thread(target=drain, args=(self.line,), daemon=True).start()
        self.line.sendall(f"{text}\n".encode())

    def require_lockdown(self) -> None:
        if "Kernel is locked down from EFI Secure Boot" not in self.serial_text():
            raise AssertionError("it was not started by Secure Boot")

    def api_address(self, network: Network, shown: Screen) -> tuple[str, int, list[str]]:
        """Host and port, and what to put before a command that goes there."""
        host = shown.address if network.single else "127.0.0.1"
        return host, API_PORT, network.inside("qemu", [])

    def shut_down(self) -> None:
        """Presses the power button."""
        assert self.process
        with socket.socket(socket.AF_UNIX) as qmp:
            qmp.connect(str(self.qmp))
            for order in ["qmp_capabilities", "system_powerdown"]:
                qmp.sendall(json.dumps({"execute": order}).encode())
            self.process.wait(SHUTTING_DOWN)

    def is_off(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def check(self, complaint: str) -> None:
        assert self.process
        if self.is_off() and EMULATION_FAILED in self.serial_text():
            self.start()
        if self.is_off():
            raise AssertionError(f"QEMU ended with {self.process.returncode}: {complaint}")
        if time.monotonic() - self.started > BOOTING:
            raise AssertionError(f"{complaint} after {BOOTING} seconds")

    def serial_text(self) -> str:
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def _hardware(self) -> list[str]:
        # Who can write the firmware's variables can switch Secure Boot off: only the firmware may.
        smm = "on" if self.chosen.firmware == "secure-boot" else "off"
        hardware = (
            f"-nodefaults -machine q35,accel=tcg,smm={smm} -cpu max -smp 2 -m 2048 -display none -vga std -no-reboot "
            f"-drive file={self.disk.path},if=virtio,format=qcow2 "
            f"-chardev socket,id=line,path={self.typed},server=on,wait=off,logfile={self.serial} -serial chardev:line -qmp unix:{self.qmp},server=on,wait=off"
        ).split()
        if self.chosen.firmware in FIRMWARE:
            code, _ = FIRMWARE[self.chosen.firmware]
            hardware += ["-drive", f"if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/{code}"]
            hardware += ["-drive", f"if=pflash,format=raw,file={self.folder}/variables.fd"]
        return hardware

    def _cards(self) -> list[str]:
        """On the first PCI bus, in the order in which the appliance counts them."""
        cards = []
        if not self.network.single:
            forward = f"hostfwd=tcp:127.0.0.1:{API_PORT}-:{API_PORT}"
            forward += f",hostfwd=tcp:127.0.0.1:{MOVED_PORT}-{MOVED}:{API_PORT}"
            cards += ["-netdev", f"user,id=management,{forward}"]
            cards += ["-device", "virtio-net-pci,netdev=management,addr=8"]
        for number, bridge in enumerate(self.network.bridges, 9):
            tap = f"tap,id={bridge},ifname={self.network.tap(bridge)},script=no,downscript=no"
            mac = f"52:54:00:12:00:{number:02x}"
            cards += ["-netdev", tap]
            cards += ["-device", f"{self.chosen.card},netdev={bridge},mac={mac},addr={number}"]
        return cards
