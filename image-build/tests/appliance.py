"""A running appliance with the tests' service in it, through all its restarts."""

import time
from pathlib import Path
from typing import Any, Callable

from api import Api
from machine import Machine, Screen
from network import Network
from service import check, configure

INSTALLING = 300


class Appliance:
    """Claimed, configured and serving when made."""

    def __init__(self, machine: Machine, network: Network) -> None:
        self.machine, self.network = machine, network
        self.begin(machine.await_screen())

    def begin(self, shown: Screen) -> None:
        """As a customer does with a new one."""
        self.api = Api(self.machine.api_address(self.network, shown), shown.fingerprint)
        self.fingerprint = shown.fingerprint
        self.api.claim(shown.claim_code)
        configure(self.api, self.network)
        check(self.network)

    def install(self, bundle: Path) -> Any:
        """What became of it."""
        self.api.upload("system/update", bundle)
        return self._await("the update is being installed", lambda system: system["update"]["state"] != "installing")

    def order(self, what: str) -> None:
        """One that starts the machine anew: of whatever slot; it may take several starts."""
        self.api.call(f"system/{what}", method="POST")
        self.machine.await_off()
        self.machine.start()

    def require(self, slot: str) -> None:
        """It serves, with its configuration, from this slot, and finds that it works."""
        assert self.require_any() == slot, f"it runs another slot than {slot}"

    def require_any(self) -> str:
        """The slot from which it serves, with its configuration."""
        shown = self.await_screen()
        assert shown.claim_code is None, "the configuration is gone"
        assert shown.fingerprint == self.fingerprint, "its certificate is another"
        self.api.sign_in()
        self.api.await_applied()
        check(self.network)
        running = next(str(slot["name"]) for slot in self.api.call("system")["slots"] if slot["running"])
        self.machine.await_serial(f"Slot {running} works.")
        return running

    def is_ready(self) -> bool:
        try:
            self.api.call("../../readyz")
        except AssertionError:
            return False
        return True

    def slot(self, name: str, *wanted: str) -> Any:
        slots = {slot["name"]: slot for slot in self.api.call("system")["slots"]}
        for field in wanted:
            assert slots[name][field], f"slot {name} is not {field}: {slots}"
        return slots[name]

    def pools(self) -> list[str]:
        return sorted(pool["name"] for pool in self.api.call("pools")["items"])

    def await_screen(self) -> Screen:
        """A release that does not work starts the machine again."""
        while True:
            try:
                return self.machine.await_screen()
            except AssertionError:
                if not self.machine.is_off():
                    raise
                self.machine.start()

    def _await(self, complaint: str, done: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + INSTALLING
        while not done(system := self.api.call("system")):
            if time.monotonic() > deadline:
                raise AssertionError(f"{complaint} for {INSTALLING} seconds: {system}")
            time.sleep(1)
        return system["update"]
