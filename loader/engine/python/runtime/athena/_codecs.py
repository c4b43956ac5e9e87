"""How values of user code and parts become each other."""

import collections.abc
import dataclasses
import json
import typing

from athena._errors import InvalidInput
from athena._parts import DATATYPES, Audio, Image, Other, Tensor, TensorKind, Text, Video

TEXT, AUDIO, IMAGE, VIDEO, OTHER = range(1, 6)
_text_attributes = {"encoding": "utf8", "compress": "raw", "format": "plain"}
_json_attributes = {**_text_attributes, "format": "json"}


class Codec:
    """Reads and makes the data of one input or output."""

    kind = OTHER
    # What an output's attributes are unless the caller asks for others, or the value has its own.
    attributes = {}
    tensor = None
    # Whether results of a stream, one after the other, are one value.
    joins = False

    def decode(self, name, attributes, data):
        """The value of an input. Raises InvalidInput, naming it."""
        raise NotImplementedError

    def encode(self, value):
        """(attributes, data) of an output. Raises TypeError for a value of another type."""
        raise NotImplementedError


class TextCodec(Codec):
    kind = TEXT
    attributes = _text_attributes
    joins = True

    def decode(self, name, attributes, data):
        encoding = attributes.get("encoding") or "utf8"
        try:
            return data.decode(encoding)
        except (UnicodeError, LookupError):
            raise InvalidInput("payload.%s is not text in %s" % (name, encoding[:32])) from None

    def encode(self, value):
        if not isinstance(value, str):
            raise TypeError("a str was expected, got %s" % _named(value))
        return {}, value.encode("utf-8")


class BytesCodec(Codec):
    joins = True

    def decode(self, name, attributes, data):
        return data

    def encode(self, value):
        return {}, _bytes(value)


class JsonCodec(Codec):
    """A value that is JSON text outside; `type` is what an input must be, None for anything."""

    kind = TEXT
    attributes = _json_attributes

    def __init__(self, type):
        self._type = type

    def decode(self, name, attributes, data):
        try:
            value = json.loads(data)
        except ValueError as error:
            raise InvalidInput("payload.%s is not JSON: %s" % (name, error)) from None
        if self._type is float and type(value) is int:
            return float(value)
        if self._type is None or type(value) is self._type:
            return value
        raise InvalidInput("payload.%s must be %s in JSON" % (name, json_names[self._type]))

    def encode(self, value):
        return {}, json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode("utf-8")


class PartCodec(Codec):
    """One of the classes for data with attributes."""

    def __init__(self, kind, part, joins=False):
        self.kind = kind
        self._part = part
        self.joins = joins
        if kind == TEXT:
            self.attributes = _text_attributes

    def decode(self, name, attributes, data):
        part = self._part(data)
        part.attributes = attributes
        return part

    def encode(self, value):
        if isinstance(value, self._part):
            return value.attributes, _bytes(value.data)
        if self.kind == TEXT and isinstance(value, str):
            return {}, value.encode("utf-8")
        return {}, _bytes(value)


class TensorCodec(Codec):
    """A tensor; what it must be is told where its annotation says so."""

    def __init__(self, kind=None):
        self.tensor = kind

    def decode(self, name, attributes, data):
        datatype = attributes.get("datatype") or getattr(self.tensor, "datatype", "")
        if datatype not in DATATYPES or (self.tensor is not None and datatype != self.tensor.datatype):
            expected = "one of the protocol's" if self.tensor is None else self.tensor.datatype
            raise InvalidInput("payload.%s: datatype must be %s, got '%s'" % (name, expected, datatype[:32]))
        count = _count(datatype, data)
        shape = self._shape(name, attributes.get("shape", ""), count)
        if count is None or _product(shape) != count:
            raise InvalidInput("payload.%s: its data is not that of a %s tensor of the shape %s" % (name, datatype, shape))
        others = {key: value for key, value in attributes.items() if key not in ("datatype", "shape")}
        return Tensor(data, datatype, shape, **others)

    def encode(self, value):
        if not isinstance(value, Tensor):
            raise TypeError("an athena.Tensor was expected, got %s" % _named(value))
        kind = self.tensor
        if kind is not None and (value.datatype != kind.datatype or not _fits(value.shape, kind.shape)):
            raise TypeError("%s %s was declared, got %s %s" % (kind.datatype, kind.shape, value.datatype, value.shape))
        return value.attributes, _bytes(value.data)

    def _shape(self, name, text, count):
        kind = None if self.tensor is None else self.tensor.shape
        if text:
            try:
                shape = json.loads(text)
            except ValueError:
                shape = None
            is_shape = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
            if is_shape and (kind is None or _fits(shape, kind)):
                return tuple(shape)
        elif kind is not None and kind.count(-1) <= 1 and count is not None:
            known = _product(size for size in kind if size >= 0)
            return tuple(size if size >= 0 else count // max(1, known) for size in kind)
        expected = "a JSON array of sizes" if kind is None else json.dumps(list(kind))
        raise InvalidInput("payload.%s: shape must be %s, got '%s'" % (name, expected, text[:64]))


json_names = {dict: "an object", list: "an array", int: "an integer", float: "a number", bool: "true or false"}

_part_codecs = {
    Text: PartCodec(TEXT, Text, joins=True),
    Audio: PartCodec(AUDIO, Audio, joins=True),
    Image: PartCodec(IMAGE, Image),
    Video: PartCodec(VIDEO, Video),
    Other: PartCodec(OTHER, Other, joins=True),
    Tensor: TensorCodec(),
}


def codec_of(annotation):
    """The codec for an annotation. Raises TypeError for one that has none."""
    if annotation is str:
        return TextCodec()
    if annotation in (bytes, bytearray, memoryview):
        return BytesCodec()
    if isinstance(annotation, TensorKind):
        return TensorCodec(annotation)
    if isinstance(annotation, type) and annotation in _part_codecs:
        return _part_codecs[annotation]
    if annotation is typing.Any or annotation is object:
        return JsonCodec(None)
    plain = typing.get_origin(annotation) or annotation
    if plain in json_names:
        return JsonCodec(plain)
    if isinstance(plain, type) and issubclass(plain, collections.abc.Mapping):
        return JsonCodec(dict)
    if isinstance(plain, type) and issubclass(plain, collections.abc.Sequence):
        return JsonCodec(list)
    raise TypeError("%s is not a type of an input or an output" % getattr(annotation, "__name__", annotation))


def _plain(value):
    """What json does not know: numpy's numbers and arrays, and dataclasses."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError("%s is not JSON" % _named(value))


def _bytes(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError("bytes were expected, got %s" % _named(value))


def _named(value):
    return type(value).__name__


def _count(datatype, data):
    """How many elements the data of a tensor has; None when it cannot be one's."""
    size = DATATYPES[datatype][0]
    if size is not None:
        return None if len(data) % size else len(data) // size
    count = at = 0
    while at + 4 <= len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "little")
        count += 1
    return count if at == len(data) else None


def _product(sizes):
    product = 1
    for size in sizes:
        product *= size
    return product


def _fits(shape, kind):
    return len(shape) == len(kind) and all(size in (-1, given) for given, size in zip(shape, kind))
