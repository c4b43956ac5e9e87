"""Reads a FileDescriptorProto of the package `inference` from standard input, and prints each field and method in which it
differs from the one that Triton's own client carries. What it leaves out is no difference; what it adds is one.

usage: compare_proto.py < DESCRIPTOR
"""

import sys

from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2


def fields(messages, prefix=""):
    for message in messages:
        name = prefix + "." + message.name
        for field in message.field:
            yield name + "." + field.name, (field.number, field.type, field.label, field.type_name)
        yield from fields(message.nested_type, name)


def methods(services):
    for service in services:
        for method in service.method:
            streams = (method.client_streaming, method.server_streaming)
            yield "/%s/%s" % (service.name, method.name), (method.input_type, method.output_type, *streams)


ours = descriptor_pb2.FileDescriptorProto.FromString(sys.stdin.buffer.read())
theirs = {}
for module in (service_pb2, model_config_pb2):
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    theirs.update(fields(file.message_type))
    theirs.update(methods(file.service))
compared = {**dict(fields(ours.message_type)), **dict(methods(ours.service))}
for name, what in compared.items():
    if theirs.get(name) != what:
        print(name)
print(len(compared), "compared")
