"""A gRPC service and its client, by grpcio: messages are bytes.

    grpc_peer.py serve PORT NAME
    grpc_peer.py ask ADDRESS:PORT
"""

import json
import queue
import sys
from concurrent import futures

import grpc

SERVICE = "penstock.test.Echo"


class Echo(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name = name

    def service(self, call):
        kinds = {
            "Once": grpc.unary_unary_rpc_method_handler(self.once),
            "Stream": grpc.stream_stream_rpc_method_handler(self.stream),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
        }
        return kinds.get(call.method.rsplit("/", 1)[1])

    def once(self, message, context):
        context.set_trailing_metadata((("x-member", self.name),))
        return message

    # One answer for each message, as soon as it comes.
    def stream(self, messages, context):
        for message in messages:
            yield message[::-1]

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")


def serve(port, name):
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=(Echo(name),))
    server.add_insecure_port("0.0.0.0:" + port)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


def ask(address):
    said = {}
    with grpc.insecure_channel(address) as channel:
        once = channel.unary_unary("/%s/Once" % SERVICE)
        large = bytes(range(256)) * 8000
        answer, call = once.with_call(large, timeout=10)
        said["large"] = answer == large
        said["member"] = dict(call.trailing_metadata())["x-member"]

        # Each message waits for the answer before: both directions are open at once.
        stream = channel.stream_stream("/%s/Stream" % SERVICE)
        answers = []
        out = queue.Queue()
        calls = stream(iter(out.get, None), timeout=10)
        for number in range(100):
            out.put(b"%03d" % number)
            answers.append(next(calls))
        out.put(None)
        said["stream"] = answers == [(b"%03d" % number)[::-1] for number in range(100)] and not list(calls)

        try:
            channel.unary_unary("/%s/Fail" % SERVICE)(b"", timeout=10)
        except grpc.RpcError as error:
            said["failed"] = [error.code().name, error.details()]
    print(json.dumps(said))


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3])
else:
    ask(sys.argv[2])
