"""The health client of gRPC's own Python package against a gateway with the service echo, whose loader ends meanwhile.

usage: health_client.py ADDRESS < DESCRIPTORS
The descriptors are a FileDescriptorSet of grpc.health.v1: the package's own messages are older than List. Prints the name of each check that passed, and "watching" when the loader may end; the first that fails ends it with its traceback.
"""

import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
stub = health_pb2_grpc.HealthStub(channel)
Request, Response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse


def done(name):
    print(name, flush=True)


for service in ("", "echo"):
    assert stub.Check(Request(service=service), timeout=20).status == Response.SERVING
try:
    stub.Check(Request(service="nobody"), timeout=20)
    raise AssertionError("answered")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
done("check")


pool = descriptor_pool.DescriptorPool()
for file in descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file:
    pool.Add(file)


def message(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("grpc.health.v1." + name))


list_all = channel.unary_unary(
    "/grpc.health.v1.Health/List",
    request_serializer=message("HealthListRequest").SerializeToString,
    response_deserializer=message("HealthListResponse").FromString,
)


def listed():
    statuses = list_all(message("HealthListRequest")(), timeout=20).statuses
    return {service: response.status for service, response in statuses.items()}


assert listed() == {"": Response.SERVING, "echo": Response.SERVING}, listed()
done("list")

assert next(stub.Watch(Request(service="nobody"), timeout=20)).status == Response.SERVICE_UNKNOWN
told = stub.Watch(Request(service="echo"), timeout=20)
assert next(told).status == Response.SERVING
done("watching")
assert next(told).status == Response.NOT_SERVING
done("watch")
assert listed() == {"": Response.SERVING, "echo": Response.NOT_SERVING}, listed()
done("list of a change")
