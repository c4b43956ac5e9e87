"""A wrapper's definition in the predecessor's own form."""

import json

from aiges.definition import attribute_types, inputs_of, outputs_of, parameters_of, text_of

_status = {"type": "integer", "enum": [0, 1, 2, 3]}


def schema_of(wrapper):
    """JSON text with `meta`, `schemainput` and `schemaoutput`."""
    inputs, outputs, parameters = inputs_of(wrapper), outputs_of(wrapper), parameters_of(wrapper)
    parameter = {field.key: field.schema() for field in parameters}
    parameter.update({field.key: _object({**attribute_types(field), "data_type": {"type": "string"}}) for field in outputs})
    service = _object(parameter, [field.key for field in parameters if field.required])
    schema = {
        "meta": _meta(wrapper, inputs, outputs),
        "schemainput": _object(
            {
                "header": _object({"appid": {"type": "string"}, "status": _status}, ["appid", "status"]),
                "parameter": _object({wrapper.serviceId: service}),
                "payload": _payload(inputs),
            }
        ),
        "schemaoutput": _object({"payload": _payload(outputs)}),
    }
    return json.dumps(schema, default=text_of)


def _meta(wrapper, inputs, outputs):
    types = [{field.key: {"dataType": _type_of(field)} for field in fields} for fields in (inputs, outputs)]
    return {
        "serviceId": wrapper.serviceId,
        "version": wrapper.version,
        "service": [wrapper.serviceId],
        "sub": wrapper.sub,
        "call": wrapper.call,
        "call_type": wrapper.call_type,
        "webgate_type": wrapper.webgate_type,
        "hosts": wrapper.hosts,
        "route": wrapper.route or "/%s/private/%s" % (wrapper.version, wrapper.serviceId),
        "routeKey": [],
        wrapper.serviceId: {"input": types[0], "accept": types[1]},
    }


def _payload(fields):
    parts = {}
    for field in fields:
        member = _type_of(field)
        parts[field.key] = _object({**attribute_types(field), "status": _status, member: {"type": "string"}}, [member])
    return _object(parts, [field.key for field in fields if field.required])


def _type_of(field):
    return getattr(field, "data_type", "text")


def _object(properties, required=()):
    schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema
