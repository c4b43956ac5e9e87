"""Runs a wrapper of the predecessor: calls its methods as it declares them, and turns what it returns into parts."""

import inspect
import queue

from aiges.core.types import DataEnd, DataPer
from aiges.definition import definition_of, implements
from aiges.dto import DataListCls, DataListNode
from aiges.results import results

import athena_session
from athena_call import WrapperFailed

# The protocol's numbers of types: 1 text, 2 audio, 3 image, 4 video, 5 other. A wrapper counts from 0.
_FIRST_TYPE = 1


class Runner:
    """One wrapper, ready to answer."""

    # It needs threads.
    loop_alone = None

    def __init__(self, wrapper):
        self._wrapper = wrapper
        self._is_async = implements(wrapper, "wrapperOnceExecAsync") and not implements(wrapper, "wrapperOnceExec")
        self._arguments = _positional(wrapper.wrapperOnceExecAsync if self._is_async else wrapper.wrapperOnceExec)
        self._is_read = implements(wrapper, "wrapperRead")

    def init(self, config):
        code = self._wrapper.wrapperInit(config)
        if code:
            raise WrapperFailed("wrapperInit returned %s: %s" % (code, self._words(code)), _number(code))

    def close(self):
        self._wrapper.wrapperFini()

    @property
    def takes_resources(self):
        """Whether the wrapper has personal resources."""
        return implements(self._wrapper, "wrapperLoadRes")

    def load_resource(self, resource_id, parts):
        """Loads a personal resource."""
        nodes = [
            DataListNode(key=name, data=data, type=DataPer, status=DataEnd, desc=desc) for name, _, desc, data in parts
        ]
        self._check(self._wrapper.wrapperLoadRes(DataListCls(nodes), resource_id))

    def unload_resource(self, resource_id):
        """Takes a personal resource out again."""
        self._check(self._wrapper.wrapperUnloadRes(resource_id))

    def execute(self, call):
        """Answers one once-call."""
        if call.is_cancelled:
            call.done()
            return
        try:
            response = call.run(self.once, call.request, call.on_cancel)
            call.answer(self.parts_of(response, call.request.expects)[1])
        except BaseException as error:  # sys.exit too: one request fails, the process goes on
            call.fail(error)

    def group(self, calls):
        """Answers once-calls that came together."""
        for call in calls:
            self.execute(call)

    def open(self, stream, start):
        """Begins a session; `start` runs its work on a thread of its own."""
        stream.session = athena_session.Session(self, stream)
        start(stream.session.run)

    def once(self, request, on_cancel):
        """What the wrapper answers to one request. A wait for its callback ends when `on_cancel`'s argument is called."""
        data = DataListCls([_node(part) for part in request.parts])
        params = dict(request.parameters)
        params.setdefault("sid", request.sid)
        arguments = (params, data, request.sid, _first(request.resource_ids))[: self._arguments]
        if not self._is_async:
            return self._wrapper.wrapperOnceExec(*arguments)
        answers = queue.SimpleQueue()
        results.register(request.sid, answers.put)
        try:
            on_cancel(lambda: answers.put(None))
            self._check(self._wrapper.wrapperOnceExecAsync(*arguments))
            return answers.get()
        finally:
            results.forget(request.sid)

    def description(self):
        """An athena.v1.ServiceDefinition as JSON has it."""
        definition = definition_of(self._wrapper)
        if definition["once"] or definition["stream"]:
            return definition
        raise WrapperFailed("the wrapper has neither wrapperOnceExec nor wrapperCreate and wrapperWrite")

    def create(self, request):
        """Opens a session; gives the wrapper's handle."""
        sid = request.sid
        params = dict(request.parameters)
        params.setdefault("sid", sid)
        method = self._wrapper.wrapperCreate
        # Three conventions are in use: the documented one, and one with the tag by a name of its own.
        if "userTag" in inspect.signature(method).parameters:
            created = method(params, sid=sid, userTag=sid)
        else:
            created = method(*(params, sid, _first(request.resource_ids), sid)[: _positional(method)])
        self._check(getattr(created, "error_code", 0))
        handle = getattr(created, "handle", created)
        if handle is None or handle == "":
            raise WrapperFailed("wrapperCreate returned no handle")
        return handle

    def write(self, handle, sid, parts):
        """Hands one chunk to a session."""
        method = self._wrapper.wrapperWrite
        data = DataListCls([_node(part) for part in parts])
        self._check(method(*(handle, data, sid)[: _positional(method)]))

    @property
    def is_read(self):
        """Whether results are asked for instead of called back."""
        return self._is_read

    def read(self, handle):
        """The next result of a session; None when there is none yet."""
        response = self._wrapper.wrapperRead(handle)
        return None if response is None or not (response.list or response.error_code) else response

    def destroy(self, handle):
        self._wrapper.wrapperDestroy(handle)
        pool = self._wrapper.__dict__.get("_session")
        if pool is not None:
            pool.release(handle)

    def parts_of(self, response, expects):
        """(status, parts) of what the wrapper answered or called back."""
        if response is None:
            raise WrapperFailed("the wrapper returned nothing")
        if isinstance(response, int):
            raise WrapperFailed(self._words(response), response)
        self._check(getattr(response, "error_code", 0))
        if not response.list:
            raise WrapperFailed("the wrapper returned a response without data")
        status = max(_number(item.status) for item in response.list)
        return min(max(status, 0), 3), [_part(item, expects) for item in response.list]

    def _check(self, code):
        if code:
            raise WrapperFailed(self._words(code), _number(code))

    def _words(self, code):
        try:
            return str(self._wrapper.wrapperError(code))
        except Exception:  # the failure itself is told, whatever its words do
            return "wrapper error %s" % code


def _positional(method):
    """How many of the four arguments of the interface's history a method takes."""
    kinds = [parameter.kind for parameter in inspect.signature(method).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 4
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(4, sum(kind in positional for kind in kinds))


def _node(part):
    name, kind, attributes, data = part
    status = attributes.get("status", "3")
    return DataListNode(
        key=name,
        data=data,
        type=max(0, kind - _FIRST_TYPE),
        status=int(status) if status.isdigit() else 3,
        desc=attributes,
    )


def _part(item, expects):
    # Many wrappers leave the type at its default: the service's definition knows it.
    kind = expects.get(item.key, _number(item.type) + _FIRST_TYPE)
    data = item.data
    if isinstance(data, str):
        data = data.encode("utf-8")
    desc = getattr(item, "desc", None)
    return item.key, kind, desc if isinstance(desc, dict) else {}, bytes(data or b"")


def _first(resource_ids):
    """The one resource that a wrapper's methods have a place for; 0 for none."""
    return resource_ids[0] if resource_ids else 0


def _number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
