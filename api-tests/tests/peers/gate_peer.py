"""A member that says which requests it has, and answers one when it is told to: whenever somebody connects to PORT + 1, the oldest.

    gate_peer.py PORT
"""

import queue
import socket
import sys
import threading

held = queue.Queue()


def have(connection):
    said = b""
    while b"\r\n\r\n" not in said:
        more = connection.recv(4096)
        if not more:
            return
        said += more
    path = said.split(b" ")[1].decode()
    held.put(connection)
    print(path, flush=True)


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=have, args=(connection,), daemon=True).start()


port = int(sys.argv[1])
listener = socket.create_server(("0.0.0.0", port))
gate = socket.create_server(("0.0.0.0", port + 1))
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print("ready", flush=True)
while True:
    opener, _ = gate.accept()
    with opener, held.get() as connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
