"""Runs a wrapper: finds its class, calls its methods as it declares them, and turns what it returns into parts."""

import importlib
import inspect
import os
import queue
import sys
import threading

from aiges.dto import DataListCls, DataListNode
from aiges.sdk import WrapperBase

import frames

# The protocol's numbers of types: 1 text, 2 audio, 3 image, 4 video, 5 other. A wrapper counts from 0.
_FIRST_TYPE = 1


class WrapperFailed(Exception):
    """The wrapper said no: its own code, and its own words for it."""

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


class Results:
    """Where a wrapper's callbacks find the requests and sessions that they belong to."""

    def __init__(self):
        self._lock = threading.Lock()
        self._receivers = {}

    def register(self, tag, receive):
        """From now on `receive` gets what is delivered under this tag."""
        with self._lock:
            if tag in self._receivers:
                raise WrapperFailed("the tag %r is in use" % (tag,))
            self._receivers[tag] = receive

    def forget(self, tag):
        with self._lock:
            self._receivers.pop(tag, None)

    def deliver(self, response, tag):
        """What a wrapper's callback calls. 0 when somebody waits for this tag, else -1."""
        with self._lock:
            receive = self._receivers.get(tag)
        if receive is None:
            return -1
        receive(response)
        return 0


results = Results()


def load(path, class_name):
    """An instance of the wrapper class in a file."""
    folder, file = os.path.split(os.path.abspath(path))
    sys.path.insert(0, folder)
    os.chdir(folder)
    module = importlib.import_module(os.path.splitext(file)[0])
    if not hasattr(module, class_name):
        raise WrapperFailed("%s has no class %s" % (file, class_name))
    return getattr(module, class_name)()


class Runner:
    """One wrapper, ready to answer."""

    def __init__(self, wrapper):
        self._wrapper = wrapper
        self._is_async = _overrides(wrapper, "wrapperOnceExecAsync") and not _overrides(wrapper, "wrapperOnceExec")
        self._arguments = _positional(wrapper.wrapperOnceExecAsync if self._is_async else wrapper.wrapperOnceExec)

    def init(self, config):
        code = self._wrapper.wrapperInit(config)
        if code:
            raise WrapperFailed("wrapperInit returned %s: %s" % (code, self._words(code)), _number(code))

    def fini(self):
        self._wrapper.wrapperFini()

    def once(self, sid, parameters, expects, parts):
        """Answers one request with parts."""
        data = DataListCls([_node(part) for part in parts])
        params = dict(parameters)
        params.setdefault("sid", sid)
        if self._is_async:
            response = self._once_async(params, data, sid)
        else:
            response = self._wrapper.wrapperOnceExec(*(params, data, sid, 0)[: self._arguments])
        return self._parts(response, expects)

    def _once_async(self, params, data, sid):
        answers = queue.SimpleQueue()
        results.register(sid, answers.put)
        try:
            code = self._wrapper.wrapperOnceExecAsync(*(params, data, sid, 0)[: self._arguments])
            if code:
                raise WrapperFailed(self._words(code), _number(code))
            # The loader ends this process when the answer does not come in time.
            return answers.get()
        finally:
            results.forget(sid)

    def create(self, sid, parameters):
        """Opens a session; gives the wrapper's handle."""
        params = dict(parameters)
        params.setdefault("sid", sid)
        method = self._wrapper.wrapperCreate
        # Three conventions are in use: the documented one, and one with the tag by a name of its own.
        if "userTag" in inspect.signature(method).parameters:
            created = method(params, sid=sid, userTag=sid)
        else:
            created = method(*(params, sid, 0, sid)[: _positional(method)])
        code = getattr(created, "error_code", 0)
        if code:
            raise WrapperFailed(self._words(code), _number(code))
        handle = getattr(created, "handle", created)
        if handle is None or handle == "":
            raise WrapperFailed("wrapperCreate returned no handle")
        return handle

    def write(self, handle, sid, parts):
        """Hands one chunk to a session."""
        method = self._wrapper.wrapperWrite
        data = DataListCls([_node(part) for part in parts])
        code = method(*(handle, data, sid)[: _positional(method)])
        if code:
            raise WrapperFailed(self._words(code), _number(code))

    @property
    def is_read(self):
        """Whether results are asked for instead of called back."""
        return _overrides(self._wrapper, "wrapperRead")

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
        """(status, parts) of one result of a session."""
        parts = self._parts(response, expects)
        status = max(_number(item.status) for item in response.list)
        return min(max(status, 0), 3), parts

    def _parts(self, response, expects):
        if response is None:
            raise WrapperFailed("the wrapper returned nothing")
        if isinstance(response, int):
            raise WrapperFailed(self._words(response), response)
        code = getattr(response, "error_code", 0)
        if code:
            raise WrapperFailed(self._words(code), _number(code))
        if not response.list:
            raise WrapperFailed("the wrapper returned a response without data")
        return [_part(item, expects) for item in response.list]

    def _words(self, code):
        try:
            return str(self._wrapper.wrapperError(code))
        except Exception:  # the failure itself is told, whatever its words do
            return "wrapper error %s" % code


def _overrides(wrapper, name):
    return getattr(type(wrapper), name, None) is not getattr(WrapperBase, name)


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


def _number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def failure(error):
    """The body of a FAILED frame for anything that user code threw."""
    if isinstance(error, WrapperFailed):
        return frames.failure("ENGINE_FAILED", error.code, str(error))
    return frames.failure("ENGINE_FAILED", 0, "%s: %s" % (type(error).__name__, error))
