"""Members that fail, each at a port of its own: from PORT on one that never answers, one that closes instead of answering, one that
breaks off its answer, and one that says what is no HTTP.

    failing_peer.py PORT
"""

import socket
import sys
import threading


def head(connection):
    said = b""
    while b"\r\n\r\n" not in said:
        more = connection.recv(4096)
        if not more:
            return False
        said += more
    return True


def stall(connection):
    while connection.recv(4096):
        pass


def close(connection):
    pass


def cut(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning")


def babble(connection):
    connection.sendall(b"220 mail.example ready\r\n\r\n")


def answer(connection, fail):
    with connection:
        if head(connection):
            fail(connection)


def serve(listener, fail):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, fail), daemon=True).start()


servers = []
for number, fail in enumerate([stall, close, cut, babble]):
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1]) + number))
    servers.append(threading.Thread(target=serve, args=(listener, fail), daemon=True))
for server in servers:
    server.start()
print("ready", flush=True)
for server in servers:
    server.join()
