"""Python's own gRPC client against a gateway: a call of every kind, and what goes wrong.

usage: grpc_client.py ADDRESS < DESCRIPTORS
The descriptors are a FileDescriptorSet of athena.v1. Prints the name of each check that passed; the first that fails ends it
with its traceback.
"""

import queue
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

pool = descriptor_pool.DescriptorPool()
for file in descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file:
    pool.Add(file)
channel = grpc.insecure_channel(sys.argv[1])


def message(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def method(kind, name, request, response):
    path = "/athena.v1.InferenceService/" + name
    return getattr(channel, kind)(
        path,
        request_serializer=message("athena.v1." + request).SerializeToString,
        response_deserializer=message("athena.v1." + response).FromString,
    )


Request, StreamRequest = message("athena.v1.InferRequest"), message("athena.v1.InferStreamRequest")
infer = method("unary_unary", "Infer", "InferRequest", "InferResponse")


def request(text, **fields):
    made = Request(**{"service": "echo", "headers": {"app_id": "1"}, **fields})
    if text is not None:
        made.parts.add(name="data", type=1, data=text.encode())
    return made


def text_of(response):
    return b"".join(part.data for part in response.parts).decode()


def once():
    large = "0123456789" * 50_000
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        response, call = infer.with_call(request(large), timeout=20, compression=compression)
        assert text_of(response) == large
        assert dict(call.initial_metadata())["athena-sid"] == response.sid


def stream():
    open_stream = method("unary_stream", "InferServerStream", "InferServerStreamRequest", "InferServerStreamResponse")
    wanted = message("athena.v1.InferServerStreamRequest")(request=request("abc"))
    assert "".join(text_of(result.response) for result in open_stream(wanted, timeout=20)) == "abc"


def session():
    """Each chunk's result comes before the next chunk is sent."""
    open_session = method("stream_stream", "InferStream", "InferStreamRequest", "InferStreamResponse")
    outgoing = queue.Queue()
    outgoing.put(StreamRequest(open=request(None)))
    results = open_session(iter(outgoing.get, None), timeout=20)
    for text, status in (("a", "0"), ("b", "1"), ("c", "2")):
        chunk = StreamRequest()
        chunk.input.parts.add(name="data", type=1, data=text.encode(), attributes={"status": status})
        outgoing.put(chunk)
        assert text_of(next(results).response) == text
    outgoing.put(None)
    assert list(results) == []


def code_of(call, *arguments, **bounds):
    try:
        call(*arguments, **bounds)
    except grpc.RpcError as error:
        return error
    raise AssertionError("answered")


def errors():
    unknown = code_of(infer, request("x", service="nobody"), timeout=20)
    assert unknown.code() == grpc.StatusCode.NOT_FOUND, unknown
    assert unknown.details() == "service 'nobody' not found"
    assert b"SERVICE_NOT_FOUND" in dict(unknown.trailing_metadata())["grpc-status-details-bin"]
    broken = code_of(infer, request(None), timeout=20)
    assert broken.code() == grpc.StatusCode.INVALID_ARGUMENT and "'$.payload.data'" in broken.details(), broken


def deadline_and_cancellation():
    slow = request("x", parameters={"delayMs": "10000"})
    assert code_of(infer, slow, timeout=0.2).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    call = infer.future(slow, timeout=20)
    assert call.cancel() and call.cancelled()


for check in (once, stream, session, errors, deadline_and_cancellation):
    check()
    print(check.__name__)
