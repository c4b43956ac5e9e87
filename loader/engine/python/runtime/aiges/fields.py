"""The fields with which wrappers declare their requests and answers."""

# What a field does not say about its values is not asked of them, though the fields' defaults name it.
_UNSAID = object()


class Field:
    """What every field has: its name and the value that a local test sends."""

    def __init__(self, key, value, required, description="", title=""):
        self.key = key
        self.value = value
        self.required = required
        self.description = description
        self.title = title


class PayloadField(Field):
    """A named piece of data. What else it is given are attributes of the data."""

    data_type = "other"

    def __init__(
        self, key, value=None, path="", need_base64=False, status=3, required=True, description="", title="", **attributes
    ):
        super().__init__(key, value, required, description, title)
        self.path = path
        self.need_base64 = need_base64
        self.status = status
        self.attributes = attributes


class StringBodyField(PayloadField):
    data_type = "text"

    def __init__(
        self, key, value=b" ", need_base64=False, encoding="utf8", format="plain", compress="raw", status=3, **more
    ):
        attributes = {"encoding": encoding, "format": format, "compress": compress}
        super().__init__(key, value, need_base64=need_base64, status=status, **attributes, **more)


class JsonBodyField(PayloadField):
    data_type = "text"

    def __init__(self, key, value="", need_base64=False, **more):
        attributes = {"encoding": "utf8", "format": "json", "compress": "raw", **more}
        super().__init__(key, value, need_base64=need_base64, **attributes)


class ImageBodyField(PayloadField):
    data_type = "image"

    def __init__(self, key, path="", need_base64=False, encoding="jpg", status=3, **more):
        super().__init__(key, path=path, need_base64=need_base64, status=status, encoding=encoding, **more)


class AudioBodyField(PayloadField):
    data_type = "audio"

    def __init__(
        self, key, path="", need_base64=False, encoding="raw", format="plain", compress="raw", status=3, **more
    ):
        attributes = {"encoding": encoding, "format": format, "compress": compress}
        super().__init__(key, path=path, need_base64=need_base64, status=status, **attributes, **more)


class VideoBodyField(PayloadField):
    data_type = "video"

    def __init__(self, key, path="", need_base64=False, encoding="raw", status=3, **more):
        super().__init__(key, path=path, need_base64=need_base64, status=status, encoding=encoding, **more)


class ParamField(Field):
    """A named parameter, with the JSON Schema of its values."""

    json_type = "string"

    def __init__(self, key, enums=(), required=False, value=None, description="", title="", **_more):
        super().__init__(key, value, required, description, title)
        self.enums = [] if enums is None else list(enums)

    def schema(self):
        schema = {"type": self.json_type, "title": self.title, "description": self.description, "enum": self.enums}
        schema = {keyword: value for keyword, value in schema.items() if value}
        if self.value not in (None, "", b""):
            schema["examples"] = [self.value]
        return schema


class StringParamField(ParamField):
    def __init__(
        self,
        key,
        minLength=_UNSAID,
        maxLength=_UNSAID,
        enums=(),
        required=False,
        value="",
        description="",
        title="",
        **more
    ):
        super().__init__(key, enums, required, value, description, title, **more)
        self.minLength, self.maxLength, self._limits = _limits(("minLength", minLength, 0), ("maxLength", maxLength, 1024))

    def schema(self):
        return {**super().schema(), **self._limits}


class NumberParamField(ParamField):
    json_type = "number"

    def __init__(self, key, minimum=_UNSAID, maximum=_UNSAID, enums=(), required=False, value=0, **more):
        super().__init__(key, enums, required, value, **more)
        self.minimum, self.maximum, self._limits = _limits(("minimum", minimum, 0), ("maximum", maximum, 100))

    def schema(self):
        return {**super().schema(), **self._limits}


class IntegerParamField(NumberParamField):
    json_type = "integer"


class BooleanParamField(ParamField):
    json_type = "boolean"

    def __init__(self, key, title="", default=False, required=False, **more):
        super().__init__(key, required=required, title=title, **{"value": default, **more})
        self.default = default

    def schema(self):
        return {**super().schema(), "default": self.default}


def _limits(*limits):
    """The value of each limit, and those that were said as JSON Schema."""
    values = [default if value is _UNSAID else value for _, value, default in limits]
    return (*values, {keyword: value for keyword, value, _ in limits if value is not _UNSAID})


def fields_of(declaration):
    """The fields that a request or response class, or an instance of one, declares: (attribute, field) in order."""
    if declaration is None:
        return []
    kind = declaration if isinstance(declaration, type) else type(declaration)
    seen = {}
    for base in reversed(kind.__mro__):
        seen.update(vars(base))
    if kind is not declaration:
        seen.update(vars(declaration))
    return [(name, value) for name, value in seen.items() if isinstance(value, Field)]
