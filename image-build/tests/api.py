"""The appliance's API, as the test needs it: through `curl`, which can be started in a network namespace."""

import hashlib
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PASSWORD = "sluice gate at dawn"
APPLYING = 60


class Api:
    def __init__(self, place: tuple[str, int, list[str]], fingerprint: str) -> None:
        self.host, self.port, self.way = place
        self._check_certificate(fingerprint)
        self.token = ""

    def claim(self, code: str | None) -> None:
        assert code, "it is claimed already"
        answer = self.call("claim", {"code": code, "username": "admin", "password": PASSWORD})
        self.token = answer["access_token"]

    def sign_in(self, username: str = "admin", password: str = PASSWORD) -> None:
        self.token = ""
        self.token = self.call("sessions", {"username": username, "password": password})["access_token"]

    def create(self, collection: str, **fields: Any) -> str:
        """The id of what was made."""
        return str(self.call(collection, fields)["id"])

    def await_applied(self) -> None:
        deadline = time.monotonic() + APPLYING
        while True:
            status = self.call("status")
            if status["generation"] == status["observed_generation"]:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"what was created is not done after {APPLYING} seconds: {status}")
            time.sleep(0.3)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        words = ["--request", "PATCH", "--header", "If-Match: *"]
        return self._curl(path, words, ['header = "Content-Type: application/json"', f"data = {json.dumps(json.dumps(body))}"])

    def upload(self, path: str, file: Path) -> Any:
        curl = ["--request", "PUT", "--upload-file", str(file), "--header", "Content-Type: application/octet-stream"]
        return self._curl(path, curl, [])

    def call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        options = []
        if body is not None:
            options += ['header = "Content-Type: application/json"', f"data = {json.dumps(json.dumps(body))}"]
        return self._curl(path, ["--request", method] if method else [], options)

    def _curl(self, path: str, words: list[str], options: list[str]) -> Any:
        url = f"https://{self.host}:{self.port}/api/v1/{path}"
        curl = ["curl", "--silent", "--show-error", "--insecure", "--connect-timeout", "30", "--max-time", "900", "--fail-with-body", *words, url]
        # A password and a token are read from standard input: command lines can be seen by all.
        if self.token:
            options = [*options, f'header = "Authorization: Bearer {self.token}"']
        told = subprocess.run(
            [*self.way, *curl, "--config", "-"], input="\n".join(options), capture_output=True, text=True, check=False
        )
        if told.returncode != 0:
            raise AssertionError(f"{url}: {told.stdout}{told.stderr}")
        return json.loads(told.stdout)

    def _check_certificate(self, fingerprint: str) -> None:
        fetch = f"import ssl; print(ssl.get_server_certificate(({self.host!r}, {self.port})))"
        command = [*self.way, sys.executable, "-c", fetch]
        pem = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        if found != fingerprint.replace(":", "").lower():
            raise AssertionError(f"the certificate is {found}, and the appliance shows {fingerprint}")
