"""A web server that answers with its name: `member.py NAME ADDRESS`."""

import http.server
import sys

NAME, ADDRESS = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{NAME}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer((ADDRESS, 80), Handler)
print("listening", flush=True)
server.serve_forever()
