"""Tries a wrapper out without a loader: `python wrapper.py`, with `Wrapper().run()` at its end."""

import queue

from aiges.definition import inputs_of, outputs_of, parameters_of, test_data, text_of
from aiges.dto import Response
from aiges.results import results

_SID = "test-111111"
# The longest that a session's next result is waited for.
_WAIT_S = 60
_SHOWN_CHARACTERS = 1000
_types = ("text", "audio", "image", "video", "other")


class _Request:
    """One request, as the loader would bring it, made of the fields' test values."""

    def __init__(self, wrapper, status):
        self.sid = _SID
        self.resource_ids = []
        self.parameters = {field.key: text_of(field.value) for field in parameters_of(wrapper) if field.value is not None}
        self.expects = {field.key: _type_of(field) for field in outputs_of(wrapper)}
        self.parts = []
        for field in inputs_of(wrapper):
            attributes = {name: text_of(value) for name, value in field.attributes.items()}
            attributes["status"] = str(status(field))
            self.parts.append((field.key, _type_of(field), attributes, test_data(wrapper, field)))


def run(wrapper):
    runner = _started(wrapper)
    response = runner.once(_Request(wrapper, lambda field: field.status), lambda wake: None)
    runner.parts_of(response, {})
    return _checked(wrapper, response)


def run_stream(wrapper):
    runner = _started(wrapper)
    # The only chunk is the last one.
    request = _Request(wrapper, lambda field: 2 if field.status == 3 else field.status)
    answers = queue.Queue()
    results.register(_SID, answers.put)
    responses = []
    try:
        handle = runner.create(request)
        try:
            runner.write(handle, _SID, request.parts)
            status = 0
            while status < 2:
                response = runner.read(handle) if runner.is_read else _next(answers)
                if response is not None:
                    status, _ = runner.parts_of(response, {})
                    responses.append(_checked(wrapper, response, is_once=False))
        finally:
            runner.destroy(handle)
    finally:
        results.forget(_SID)
    return responses


def is_as_declared(wrapper, response, is_once=True):
    mistakes = list(_mistakes(wrapper, response, is_once))
    for mistake in mistakes:
        print("wrong: " + mistake, flush=True)
    return not mistakes


def _started(wrapper):
    from athena_wrapper import Runner

    runner = Runner(wrapper)
    runner.init(wrapper.config)
    return runner


def _next(answers):
    try:
        return answers.get(timeout=_WAIT_S)
    except queue.Empty:
        raise TimeoutError("no result with the status 2 came within %d s" % _WAIT_S) from None


def _checked(wrapper, response, is_once=True):
    for item in response.list:
        text = text_of(item.data)[:_SHOWN_CHARACTERS] if item.type == 0 else "%d bytes" % len(item.data)
        print("%s, status %s: %s" % (item.key, item.status, text), flush=True)
    if not is_as_declared(wrapper, response, is_once):
        raise ValueError("the response is not what the response class declares")
    return response


def _mistakes(wrapper, response, is_once):
    if not isinstance(response, Response):
        yield "a Response was expected, got a %s" % type(response).__name__
        return
    if not response.list:
        yield "the response's list is empty"
    declared = {field.key: field for field in outputs_of(wrapper)}
    seen = set()
    for item in response.list:
        field = declared.get(item.key)
        if field is None:
            yield "'%s' is not declared, expected %s" % (item.key, ", ".join(declared) or "nothing")
        elif item.type != _type_of(field) - 1:
            yield "'%s' has the type %s, declared is %d" % (item.key, item.type, _type_of(field) - 1)
        if item.key in seen:
            yield "'%s' stands twice" % item.key
        seen.add(item.key)
        if not isinstance(item.data, bytes):
            yield "'%s' has data of the type %s, expected bytes" % (item.key, type(item.data).__name__)
        elif item.len != len(item.data):
            yield "'%s' has %d bytes, its len says %s" % (item.key, len(item.data), item.len)
        if is_once and item.status != 3:
            yield "'%s' has the status %s, expected 3" % (item.key, item.status)


def _type_of(field):
    """The protocol's number, from 1."""
    return _types.index(getattr(field, "data_type", "text")) + 1
