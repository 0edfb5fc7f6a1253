"""A member that tells what it is asked, a line each: METHOD PATH and how many bytes of body; and does what the path says: `/fail` gets 500,
`/hold` and `/hold-NAME` no answer (`gone` is said when the client has left), all others NAME.

    wilful_peer.py PORT NAME
"""

import http.server
import sys
import threading

telling = threading.Lock()


def tell(line):
    with telling:
        print(line, flush=True)


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        tell(f"{self.command} {self.path} {self.body()}")
        if self.path in ("/hold", f"/hold-{sys.argv[2]}"):
            while self.connection.recv(4096):
                pass
            tell("gone")
            self.close_connection = True
            return
        self.send_response(500 if self.path == "/fail" else 200)
        said = f"{sys.argv[2]}\n".encode()
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        bytes = 0
        while length := int(self.rfile.readline(), 16):
            bytes += len(self.rfile.read(length + 2)) - 2
        self.rfile.readline()
        return bytes

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Answer)
print("ready", flush=True)
server.serve_forever()
