"""Runs a service that is written for the module athena."""

import inspect
import json

import athena_streams
from athena._declare import service_of
from athena._signature import Signature
from athena_answer import answer, answer_async, answer_group, run_here
from athena_call import WrapperFailed

_types = ("", "TEXT", "AUDIO", "IMAGE", "VIDEO", "OTHER")


class Method:
    """One function of the service: what its signature says, and the function itself, bound when there is an instance."""

    def __init__(self, function, is_method):
        self.signature = Signature(function, is_method)
        self.function = function


class Runner:
    """One service, ready to answer."""

    def __init__(self, target, channel):
        self._target = target
        self._declared = service_of(target)
        self._instance = None
        self._methods = _methods_of(target)
        infer, stream = self._methods.get("infer"), self._methods.get("stream")
        self._session = stream or (infer if infer.signature.is_session else None)
        once = infer or stream
        is_once = self._declared.once is not False and (not once.signature.is_iterated or once.signature.joins)
        self._once = once if is_once else None
        if self._once is None and self._session is None:
            raise TypeError("%s: it answers neither once-calls nor sessions" % target.__name__)
        self._description = self._describe()
        self._loop = None
        kinds = [method.signature.is_async for method in self._methods.values()]
        if any(kinds) or inspect.iscoroutinefunction(getattr(target, "close", None)):
            # It takes its time to import.
            import athena_loop

            self._loop = athena_loop.Loop(channel)
        # Where nothing needs a thread, the loop reads the loader's frames as well.
        self.loop_alone = self._loop if all(kinds) else None

    def init(self, config):
        if inspect.isclass(self._target):
            takes_config = any(
                parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
                for parameter in inspect.signature(self._target).parameters.values()
            )
            self._instance = self._target(config) if takes_config else self._target()
            for name, method in self._methods.items():
                method.function = getattr(self._instance, name)
        if self._loop is not None and self.loop_alone is None:
            self._loop.start()

    def close(self):
        close = getattr(self._instance, "close", None)
        if inspect.iscoroutinefunction(close):
            self._loop.wait_for(close())
        elif close is not None:
            close()

    def description(self):
        """An athena.v1.ServiceDefinition as JSON has it."""
        return self._description

    def _describe(self):
        # What one kind of call alone requires is refused by its function, not by the definition, which is of both.
        signatures = [method.signature for method in (self._once, self._session) if method is not None]
        inputs, outputs, parameters = {}, {}, {}
        for signature in signatures:
            for one in signature.inputs:
                _add(inputs, one, {"required": _is_required(one.name, [each.inputs for each in signatures])})
            for one in signature.outputs:
                _add(outputs, one, {"attributes": one.codec.attributes})
            parameters.update({parameter.name: parameter.schema() for parameter in signature.parameters})
        lists = [signature.parameters for signature in signatures]
        required = [name for name in parameters if _is_required(name, lists)]
        schema = {"type": "object", "properties": parameters, "required": required}
        batch = self._once.signature.batch if self._once is not None else None
        batching = {} if batch is None else {"maxBatchRows": batch.max_rows, "maxBatchDelayMs": batch.max_delay_ms}
        return {
            "id": str(self._declared.id or ""),
            "version": str(self._declared.version or ""),
            "description": self._declared.description or inspect.cleandoc(self._target.__doc__ or ""),
            "inputs": list(inputs.values()),
            "outputs": list(outputs.values()),
            "parametersSchema": json.dumps(schema),
            "once": self._once is not None,
            "stream": self._session is not None,
            **batching,
        }

    def execute(self, call):
        """Answers one once-call."""
        method = self._once
        if method is None:
            call.fail(WrapperFailed("the service answers no once-calls, only sessions"))
        elif method.signature.batch is not None:
            self.group([call])
        elif method.signature.is_async:
            call.on_cancel(self._loop.submit([call], lambda _task: answer_async(method, call)).cancel)
        elif call.is_cancelled:
            call.done()
        else:
            try:
                call.answer(call.run(lambda: run_here(answer(method, call))))
            except BaseException as error:  # sys.exit too: one request fails, the process goes on
                call.fail(error)

    def group(self, calls):
        """Answers once-calls that are to be computed together."""
        method = self._once
        if method is None or method.signature.batch is None:
            for call in calls:
                self.execute(call)
        elif method.signature.is_async:
            self._loop.submit(calls, lambda task: answer_group(method, calls, task.cancel))
        else:
            run_here(answer_group(method, calls))

    def open(self, stream, start):
        """Begins a session; `start` runs its work on a thread of its own."""
        if self._session is None:
            stream.session = athena_streams.Refused(stream)
        elif self._session.signature.is_async:
            stream.session = athena_streams.AsyncSession(self._session, stream, self._loop)
        else:
            stream.session = athena_streams.Session(self._session, stream)
            start(stream.session.run)


def _is_required(name, lists):
    """Whether each of these lists has an argument of this name that it requires."""
    return all(any(one.name == name and one.is_required for one in arguments) for arguments in lists)


def _add(definitions, one, more):
    """Notes an input or an output; one that two functions have must be of one type."""
    definition = {"name": one.name, "type": "PART_TYPE_" + _types[one.codec.kind], **more}
    if one.codec.tensor is not None:
        definition["tensor"] = {"datatype": one.codec.tensor.datatype, "shape": list(one.codec.tensor.shape)}
    if definitions.setdefault(one.name, definition)["type"] != definition["type"]:
        raise TypeError("infer and stream: '%s' has two types" % one.name)


def _methods_of(target):
    if not inspect.isclass(target):
        return {"infer": Method(target, False)}
    methods = {}
    for name in ("infer", "stream"):
        function = getattr(target, name, None)
        if function is not None:
            methods[name] = Method(function, inspect.isfunction(inspect.getattr_static(target, name)))
    if not methods:
        raise TypeError("%s has neither infer nor stream" % target.__name__)
    stream = methods.get("stream")
    if stream is not None and not stream.signature.is_session:
        raise TypeError("stream: neither takes nor returns an iterator")
    if stream is not None and "infer" in methods and methods["infer"].signature.is_session:
        raise TypeError("infer: it takes or returns an iterator, and so does stream")
    return methods
