"""What a function's signature says about its service."""

import collections.abc
import dataclasses
import inspect
import typing

from athena._codecs import codec_of
from athena._errors import InvalidInput
from athena._parameters import Parameter, without_none

_empty = inspect.Parameter.empty
_sync_iterators = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator)
_async_iterators = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


class Input:
    """One positional argument."""

    def __init__(self, name, annotation, parameter):
        origin = typing.get_origin(annotation)
        self.name = name
        self.is_async = origin in _async_iterators
        # Whether it comes chunk by chunk.
        self.is_stream = self.is_async or origin in _sync_iterators
        if self.is_stream:
            annotation = typing.get_args(annotation)[0]
        annotation, is_optional = without_none(annotation)
        self.codec = codec_of(annotation)
        has_default = parameter.default is not parameter.empty
        self.is_required = not (has_default or is_optional)
        self.default = parameter.default if has_default else None


    def value(self, found):
        """Its value in a request's parts by their names."""
        part = found.get(self.name)
        if part is not None:
            return self.codec.decode(self.name, *part)
        if self.is_required:
            raise InvalidInput("payload.%s is required" % self.name)
        return self.default


class Output:
    """The value that is returned, or one field of it."""

    def __init__(self, name, annotation, may_lack=False):
        self.name = name
        annotation, is_optional = without_none(annotation)
        self.codec = codec_of(annotation)
        self.may_lack = is_optional or may_lack


class Signature:
    """A function's inputs, parameters and outputs. Raises TypeError, naming the argument, for what cannot be served."""

    def __init__(self, function, is_method=False):
        self.name = function.__name__
        self.batch = batch = getattr(function, "__athena_batch__", None)
        self.batch = batch
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self.inputs = []
        self.parameters = []
        hints = _hints(function)
        arguments = list(inspect.signature(function).parameters.items())
        for name, parameter in arguments[1:] if is_method else arguments:
            self._add(name, parameter, hints)
        self.stream_input = next((one for one in self.inputs if one.is_stream), None)
        self._set_outputs(function, hints.get("return", _empty))
        self._check()

    def _add(self, name, parameter, hints):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError("%s: *%s does not say what there is" % (self.name, name))
        if name not in hints:
            raise TypeError("%s: '%s' needs a type" % (self.name, name))
        try:
            if parameter.kind is parameter.KEYWORD_ONLY:
                has_default = parameter.default is not parameter.empty
                self.parameters.append(Parameter(name, hints[name], parameter.default, has_default))
            else:
                annotation = hints[name] if self.batch is None else _item_of(hints[name])
                self.inputs.append(Input(name, annotation, parameter))
        except TypeError as error:
            raise TypeError("%s: '%s': %s" % (self.name, name, error)) from None

    def _set_outputs(self, function, annotation):
        origin = typing.get_origin(annotation)
        yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self.is_iterated = yields or origin in _sync_iterators or origin in _async_iterators
        try:
            if annotation is _empty or annotation is type(None):
                raise TypeError("what it returns needs a type")
            if self.is_iterated and origin not in _sync_iterators + _async_iterators:
                raise TypeError("it yields, so it returns an Iterator[...] or an AsyncIterator[...]")
            if self.is_iterated:
                # Without `async def` before it, a function that returns such an iterator is asynchronous as well.
                self.is_async = self.is_async or origin in _async_iterators
                annotation = typing.get_args(annotation)[0]
            elif self.batch is not None:
                annotation = _without_exceptions(_item_of(annotation))
            self._record, self.outputs = _outputs_of(annotation)
        except TypeError as error:
            raise TypeError("%s: %s" % (self.name, error)) from None

    def _check(self):
        mistake = None
        if sum(one.is_stream for one in self.inputs) > 1:
            mistake = "only one input can be an iterator"
        elif self.stream_input is not None and self.stream_input.is_async != self.is_async:
            mistake = "an AsyncIterator belongs to an async def, an Iterator to a def"
        elif self.batch is not None and (self.is_iterated or self.stream_input is not None):
            mistake = "a batch has no iterators"
        elif self.batch is not None and not self.inputs:
            mistake = "a batch needs an input"
        if mistake is not None:
            raise TypeError("%s: %s" % (self.name, mistake))

    def parameter_values(self, texts):
        """The keyword arguments of a request. Raises InvalidInput, naming the parameter."""
        return {parameter.name: parameter.value(texts) for parameter in self.parameters}

    def input_values(self, parts, stream=None):
        """
        The positional arguments in a request's parts; `stream` gives the iterator, from its input and the parts by their names.
        Raises InvalidInput, naming the input.
        """
        found = {name: (attributes, data) for name, _, attributes, data in parts}
        return [stream(one, found) if one is self.stream_input else one.value(found) for one in self.inputs]

    @property
    def is_session(self):
        """Whether its input or its output comes in pieces."""
        return self.is_iterated or self.stream_input is not None

    @property
    def joins(self):
        """Whether all that it yields can be put together to one answer."""
        return all(output.codec.joins for output in self.outputs)

    def parts_of(self, value):
        """The parts of one result: (name, type, attributes, data). Raises TypeError for a value of another type."""
        if self._record is None:
            values = [value]
        elif self._record.is_instance(value):
            values = self._record.values(value)
        else:
            raise TypeError("%s: a %s was expected, got %s" % (self.name, self._record.name, type(value).__name__))
        parts = []
        for output, item in zip(self.outputs, values):
            if item is None and output.may_lack:
                continue
            try:
                attributes, data = output.codec.encode(item)
            except (TypeError, ValueError) as error:
                raise TypeError("%s: output '%s': %s" % (self.name, output.name, error)) from None
            parts.append((output.name, output.codec.kind, attributes, data))
        return parts


class _Record:
    """A type whose fields are outputs."""

    def __init__(self, annotation):
        self.name = annotation.__name__
        self._is_dict = issubclass(annotation, dict)
        self._type = dict if self._is_dict else annotation
        self._fields = list(_hints(annotation))

    def is_instance(self, value):
        return isinstance(value, self._type)

    def values(self, value):
        if self._is_dict:
            return [value.get(field) for field in self._fields]
        return [getattr(value, field) for field in self._fields]


def _outputs_of(annotation):
    """(the record, or None for a single value, and the outputs)"""
    if not _is_record(annotation):
        return None, [Output("result", annotation)]
    fields = _hints(annotation)
    required = getattr(annotation, "__required_keys__", fields if getattr(annotation, "__total__", True) else ())
    outputs = [Output(name, kind, may_lack=name not in required) for name, kind in fields.items()]
    if not outputs:
        raise TypeError("%s has no fields" % annotation.__name__)
    return _Record(annotation), outputs


def _is_record(annotation):
    if not isinstance(annotation, type):
        return False
    is_named_tuple = issubclass(annotation, tuple) and hasattr(annotation, "_fields")
    is_typed_dict = issubclass(annotation, dict) and hasattr(annotation, "__total__")
    return is_named_tuple or is_typed_dict or dataclasses.is_dataclass(annotation)


def _hints(target):
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise TypeError("%s: its annotations cannot be read: %s" % (target.__name__, error)) from None


def _item_of(annotation):
    """What a batch function's list is a list of."""
    origin = typing.get_origin(annotation)
    if origin in (list, collections.abc.Sequence):
        return typing.get_args(annotation)[0]
    raise TypeError("a batch takes and returns lists, such as List[str], got %s" % (annotation,))


def _without_exceptions(annotation):
    """A batch's item without the exception that may stand for it."""
    origin = typing.get_origin(annotation)
    if origin is not typing.Union and getattr(origin, "__name__", "") != "UnionType":
        return annotation
    kept = [
        one for one in typing.get_args(annotation) if not (isinstance(one, type) and issubclass(one, BaseException))
    ]
    return typing.Union[tuple(kept)]
