"""A WebSocket server and its clients: by the library websockets, and over HTTP/2 by the library h2.

    websocket_peer.py serve PORT
    websocket_peer.py ask ws://ADDRESS:PORT/
    websocket_peer.py wait ws://ADDRESS:PORT/
    websocket_peer.py ask_h2 ADDRESS PORT
"""

import asyncio
import json
import socket
import struct
import sys


async def serve(port):
    import websockets

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "0.0.0.0", int(port), max_size=None):
        print("ready", flush=True)
        await asyncio.Future()


async def ask(url):
    import websockets

    async with websockets.connect(url, max_size=None) as connection:
        short = []
        for number in range(20):
            await connection.send("message %d" % number)
            short.append(await connection.recv())
        large = bytes(range(256)) * 20_000
        # Both directions at once: nobody reads before all is written, on either side.
        for _ in range(4):
            await connection.send(large)
        longs = [await connection.recv() for _ in range(4)]
        await connection.ping()
    print(json.dumps({
        "short": short == ["message %d" % number for number in range(20)],
        "large": longs == [large] * 4,
        "closed": connection.close_code,
    }))


# Until the other side ends it.
async def wait(url):
    import websockets

    async with websockets.connect(url) as connection:
        await connection.send("hello")
        await connection.recv()
        print("open", flush=True)
        try:
            await connection.recv()
        except websockets.ConnectionClosed:
            print("closed", flush=True)


# RFC 8441: the tunnel is a request of HTTP/2 by the method CONNECT.
def ask_h2(address, port):
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded

    peer = socket.create_connection((address, int(port)), timeout=10)
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
    connection.initiate_connection()
    peer.sendall(connection.data_to_send())
    said, data, stream = {}, b"", None
    while not said.get("ended"):
        came = peer.recv(1 << 16)
        if not came:
            break
        for event in connection.receive_data(came):
            if isinstance(event, RemoteSettingsChanged) and stream is None:
                said["offered"] = connection.remote_settings.enable_connect_protocol
                stream = connection.get_next_available_stream_id()
                connection.send_headers(stream, [
                    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                    (":authority", address), ("sec-websocket-version", "13")])
            elif isinstance(event, ResponseReceived):
                said["status"] = dict(event.headers)[":status"]
                connection.send_data(stream, frame(1, b"hello"))
            elif isinstance(event, DataReceived):
                data += event.data
                connection.acknowledge_received_data(len(event.data), stream)
                if data == b"\x81\x05hello":
                    said["echo"] = True
                    # Close, code 1000; the server says the same.
                    connection.send_data(stream, frame(8, struct.pack("!H", 1000)))
            elif isinstance(event, StreamEnded):
                said["ended"] = True
        peer.sendall(connection.data_to_send())
    print(json.dumps(said))


# RFC 6455, 5.2: a whole short message of a client, masked.
def frame(opcode, payload):
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


what, *arguments = sys.argv[1:]
if what == "ask_h2":
    ask_h2(*arguments)
else:
    asyncio.run({"serve": serve, "ask": ask, "wait": wait}[what](*arguments))
