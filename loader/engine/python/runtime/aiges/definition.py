"""What a wrapper's request and response classes say about its service."""

import base64
import dis
import inspect
import json
import os
import sys

from aiges.fields import ParamField, PayloadField, fields_of

_MAX_EXAMPLE_BYTES = 1 << 20
_json_types = {str: "string", bool: "boolean", int: "integer", float: "number"}


def inputs_of(wrapper):
    return _distinct(field for _, field in fields_of(wrapper.requestCls) if isinstance(field, PayloadField))


def parameters_of(wrapper):
    return _distinct(field for _, field in fields_of(wrapper.requestCls) if isinstance(field, ParamField))


def outputs_of(wrapper):
    found = fields_of(wrapper.responseCls)
    return _distinct(field for name, field in found if name.startswith("accept") or isinstance(field, PayloadField))


def definition_of(wrapper):
    """The service's definition: an athena.v1.ServiceDefinition as JSON has it."""
    definition = {
        "id": str(wrapper.serviceId or ""),
        "version": str(wrapper.version or ""),
        "description": inspect.cleandoc(type(wrapper).__dict__.get("__doc__") or ""),
        "inputs": [_input(wrapper, field) for field in inputs_of(wrapper)],
        "outputs": [_output(field) for field in outputs_of(wrapper)],
        "once": implements(wrapper, "wrapperOnceExec") or implements(wrapper, "wrapperOnceExecAsync"),
        "stream": implements(wrapper, "wrapperCreate") and implements(wrapper, "wrapperWrite"),
    }
    if wrapper.requestCls is not None:
        definition["parametersSchema"] = json.dumps(parameters_schema(wrapper), default=text_of)
    return definition


def parameters_schema(wrapper):
    """A JSON Schema. The predecessor let every parameter through, and wrappers read some that they do not declare."""
    fields = parameters_of(wrapper)
    return {
        "type": "object",
        "properties": {field.key: field.schema() for field in fields},
        "required": [field.key for field in fields if field.required],
        "additionalProperties": True,
    }


def attribute_types(field):
    """The JSON Schema type of each of a field's attributes."""
    values = getattr(field, "attributes", {})
    return {name: {"type": _json_types.get(type(value), "string")} for name, value in values.items()}


def test_data(wrapper, field):
    """The bytes that a local test sends: those of the file, where a path is given, which must be there."""
    if field.path:
        with open(_path(wrapper, field), "rb") as file:
            return file.read()
    value = b"" if field.value is None else field.value
    return value if isinstance(value, bytes) else text_of(value).encode("utf-8")


def implements(wrapper, name):
    """Whether a wrapper has a method of its own that does something: templates leave some empty, or not implemented."""
    from aiges.sdk import WrapperBase

    method = getattr(type(wrapper), name, None)
    if method is None or method is getattr(WrapperBase, name):
        return False
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return code is None or not _is_empty(code)


def _is_empty(code):
    uses_arguments = any("FAST" in instruction.opname for instruction in dis.get_instructions(code))
    return not uses_arguments and set(code.co_names) <= {"NotImplementedError"}


def _input(wrapper, field):
    definition = {
        "name": str(field.key),
        "type": "PART_TYPE_" + field.data_type.upper(),
        "required": bool(field.required),
        "attributesSchema": _attributes_schema(field, lambda value: {"examples": [value]}),
    }
    example = _example(wrapper, field)
    return {**definition, "example": base64.b64encode(example).decode("ascii")} if example else definition


def _output(field):
    # A parameter's field among the outputs declares a text.
    return {
        "name": str(field.key),
        "type": "PART_TYPE_" + getattr(field, "data_type", "text").upper(),
        "attributes": {name: text_of(value) for name, value in getattr(field, "attributes", {}).items()},
        "attributesSchema": _attributes_schema(field, lambda value: {"default": value}),
    }


def _attributes_schema(field, about):
    """A JSON Schema of an input's or an output's attributes. Others may be there too: the predecessor refused none."""
    values = getattr(field, "attributes", {})
    properties = {name: {**kind, **about(values[name])} for name, kind in attribute_types(field).items()}
    return json.dumps({"type": "object", "properties": properties, "additionalProperties": True}, default=text_of)


def _example(wrapper, field):
    """Data that the service accepts; none where its file is not there, or where it is large."""
    if not field.path:
        data = test_data(wrapper, field)
        return data if data.strip() and len(data) <= _MAX_EXAMPLE_BYTES else b""
    path = _path(wrapper, field)
    if os.path.isfile(path) and os.path.getsize(path) <= _MAX_EXAMPLE_BYTES:
        return test_data(wrapper, field)
    return b""


def _path(wrapper, field):
    """Relative paths begin at the wrapper's folder."""
    module = sys.modules.get(type(wrapper).__module__)
    return os.path.join(os.path.dirname(os.path.abspath(getattr(module, "__file__", ""))), field.path)


def _distinct(fields):
    """The first of each name."""
    found = {}
    for field in fields:
        found.setdefault(field.key, field)
    return list(found.values())


def text_of(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else json.dumps(value, default=str)
