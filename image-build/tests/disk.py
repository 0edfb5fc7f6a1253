"""The appliance's disk, as whoever has the machine in hands can treat it while it is off."""

import re
import subprocess
import tempfile
from pathlib import Path

LAYOUT = Path(__file__).parent.parent / "disk.layout"
MIB = 1 << 20


def layout() -> dict[str, tuple[int, int]]:
    """Of each partition where it begins and how long it is, in MiB. The last one's length is not known from here."""
    found, at = {}, 1
    for line in LAYOUT.read_text().splitlines():
        if match := re.search(r"name=([a-z-]+)", line):
            size = re.search(r"size=(\d+)MiB", line)
            length = int(size[1]) if size else 0
            found[match[1]] = (at, length)
            at += length
    return found


class Disk:
    """What is written to it stays in a file of its own, above the image; without one it is empty."""

    def __init__(self, path: Path, image: Path | None) -> None:
        self.path = path
        words = ["-b", str(image.resolve()), "-F", "qcow2", str(path)] if image else [str(path), "8G"]
        run("qemu-img", "create", "-q", "-f", "qcow2", *words)

    def flip_bits(self, partition: str) -> None:
        at, _ = layout()[partition]
        run("qemu-io", "-c", f"write -q -P 0xa5 {at}M 64k", str(self.path))

    def remove_kernel(self, partition: str) -> None:
        at, length = layout()[partition]
        with tempfile.TemporaryDirectory() as folder:
            part = f"{folder}/boot.img"
            self.copy(partition, Path(part))
            run("debugfs", "-w", "-R", "rm vmlinuz", part)
            run("qemu-io", "-c", f"write -q -s {part} {at}M {length}M", str(self.path))

    def copy(self, partition: str, to: Path) -> None:
        """A copy of it, with holes."""
        at, length = layout()[partition]
        count = [f"count={at + length}"] if length else []
        words = ["-f", "qcow2", "-O", "raw", "bs=1M", f"skip={at}", *count, f"if={self.path}", f"of={to}"]
        run("qemu-img", "dd", *words)

    def files(self, folder: Path) -> dict[str, bytes]:
        """What lies in the data partition's `slots`, by its path there."""
        part = folder / "data.img"
        self.copy("data", part)
        # Without replaying the journal it may be behind.
        subprocess.run(["e2fsck", "-fy", str(part)], capture_output=True, check=False)
        run("debugfs", "-R", f"rdump /slots {folder}", str(part))
        part.unlink()
        found = folder.joinpath("slots").rglob("*")
        return {str(file.relative_to(folder)): file.read_bytes() for file in found if file.is_file()}


def run(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
