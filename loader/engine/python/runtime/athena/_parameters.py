"""Parameters: texts outside, values of their annotated types inside."""

import json
import math
import re
import typing

from athena._errors import InvalidInput
from athena._codecs import json_names

NoneType = type(None)
_json_types = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def without_none(annotation):
    """(annotation, whether None was one of its alternatives). Raises TypeError for several others."""
    origin = typing.get_origin(annotation)
    if origin is not typing.Union and getattr(origin, "__name__", "") != "UnionType":
        return annotation, False
    others = [one for one in typing.get_args(annotation) if one is not NoneType]
    if len(others) != 1:
        raise TypeError("%s has more than one type" % (annotation,))
    return others[0], True


class Parameter:
    """One keyword-only argument."""

    def __init__(self, name, annotation, default, has_default):
        self.name = name
        self._annotation, is_optional = without_none(annotation)
        self._plain = typing.get_origin(self._annotation) or self._annotation
        self._values = typing.get_args(self._annotation) if self._plain is typing.Literal else None
        if self._values is None and self._plain not in _json_types:
            raise TypeError("%s is not a type of a parameter" % getattr(annotation, "__name__", annotation))
        self.is_required = not (has_default or is_optional)
        self.default = default if has_default else None

    def schema(self):
        """The JSON Schema of its values."""
        if self._values is not None:
            schema = {"enum": list(self._values)}
        else:
            schema = {"type": _json_types[self._plain]}
            items = typing.get_args(self._annotation)
            if self._plain is list and items and items[0] in _json_types:
                schema["items"] = {"type": _json_types[items[0]]}
        if self.default is not None:
            try:
                json.dumps(self.default, allow_nan=False)
                schema["default"] = self.default
            except (TypeError, ValueError):
                pass  # a default that callers cannot send
        return schema

    def value(self, texts):
        """Its value in a request. Raises InvalidInput, naming it."""
        text = texts.get(self.name)
        # A null comes as an empty text.
        if text is None or (text == "" and self._plain is not str):
            if self.is_required:
                raise InvalidInput("parameter %s is required" % self.name)
            return self.default
        if self._values is not None:
            return self._chosen(text)
        return self._converted(text, self._plain)

    def _chosen(self, text):
        for value in self._values:
            if text == (value if isinstance(value, str) else json.dumps(value)):
                return value
        allowed = ", ".join(str(value) for value in self._values)
        raise InvalidInput("parameter %s must be one of %s, got '%s'" % (self.name, allowed, text[:64]))

    def _converted(self, text, kind):
        try:
            return _from_text[kind](self, text)
        except ValueError:
            raise InvalidInput("parameter %s must be %s, got '%s'" % (self.name, json_names[kind], text[:64])) from None

    def _list(self, text):
        items = typing.get_args(self._annotation)
        kind = items[0] if items and items[0] in _from_text else str
        # A gateway joins the items of an array.
        values = json.loads(text) if text.startswith("[") else text.split(";")
        return [self._converted(value if isinstance(value, str) else json.dumps(value), kind) for value in values]


def _integer(_parameter, text):
    if re.fullmatch(r"[+-]?[0-9]{1,400}", text) is None:
        raise ValueError(text)
    return int(text)


def _number(_parameter, text):
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(text)
    return value


def _boolean(_parameter, text):
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _object(_parameter, text):
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


_from_text = {
    str: lambda _parameter, text: text,
    int: _integer,
    float: _number,
    bool: _boolean,
    list: Parameter._list,
    dict: _object,
}
