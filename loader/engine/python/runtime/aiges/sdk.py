"""The base class of wrappers and the fields with which they declare their requests and answers."""

from aiges.stream import SessionManager


class Field:
    """What every field has: its name and the value that a local test sends."""

    def __init__(self, key, value=None):
        self.key = key
        self.value = value


class PayloadField(Field):
    """A named piece of data."""

    data_type = "other"

    def __init__(self, key, value=None, path="", need_base64=False, status=3, **attributes):
        super().__init__(key, value)
        self.path = path
        self.need_base64 = need_base64
        self.status = status
        self.attributes = attributes

    def test_value(self):
        """The bytes that a local test sends: the file's, where a path is given."""
        if self.path:
            with open(self.path, "rb") as file:
                return file.read()
        value = b"" if self.value is None else self.value
        return value.encode("utf-8") if isinstance(value, str) else value


class StringBodyField(PayloadField):
    data_type = "text"

    def __init__(
        self, key, value=b" ", need_base64=False, encoding="utf8", format="plain", compress="raw", status=3, **more
    ):
        super().__init__(
            key, value, "", need_base64, status, encoding=encoding, format=format, compress=compress, **more
        )


class JsonBodyField(PayloadField):
    data_type = "text"

    def __init__(self, key, value="", need_base64=False, status=3, **more):
        super().__init__(key, value, "", need_base64, status, encoding="utf8", format="json", compress="raw", **more)


class ImageBodyField(PayloadField):
    data_type = "image"

    def __init__(self, key, path="", need_base64=False, encoding="jpg", status=3, **more):
        super().__init__(key, None, path, need_base64, status, encoding=encoding, **more)


class AudioBodyField(PayloadField):
    data_type = "audio"

    def __init__(
        self, key, path="", need_base64=False, encoding="raw", format="plain", compress="raw", status=3, **more
    ):
        super().__init__(
            key, None, path, need_base64, status, encoding=encoding, format=format, compress=compress, **more
        )


class VideoBodyField(PayloadField):
    data_type = "video"

    def __init__(self, key, path="", need_base64=False, encoding="raw", status=3, **more):
        super().__init__(key, None, path, need_base64, status, encoding=encoding, **more)


class ParamField(Field):
    """A named parameter, with the JSON Schema of its values."""

    json_type = "string"

    def __init__(self, key, value=None, enums=None, required=False, description="", title="", **_more):
        super().__init__(key, value)
        self.enums = [] if enums is None else enums
        self.required = required
        self.description = description
        self.title = title

    def schema(self):
        schema = {"type": self.json_type}
        if self.enums:
            schema["enum"] = list(self.enums)
        if self.description:
            schema["description"] = self.description
        return schema


class StringParamField(ParamField):
    def __init__(self, key, minLength=0, maxLength=1024, enums=None, required=False, value="", **more):
        super().__init__(key, value, enums, required, **more)
        self.minLength = minLength
        self.maxLength = maxLength

    def schema(self):
        return {**super().schema(), "minLength": self.minLength, "maxLength": self.maxLength}


class NumberParamField(ParamField):
    json_type = "number"

    def __init__(self, key, minimum=0, maximum=100, enums=None, required=False, value=0, **more):
        super().__init__(key, value, enums, required, **more)
        self.minimum = minimum
        self.maximum = maximum

    def schema(self):
        return {**super().schema(), "minimum": self.minimum, "maximum": self.maximum}


class IntegerParamField(NumberParamField):
    json_type = "integer"


class BooleanParamField(ParamField):
    json_type = "boolean"

    def __init__(self, key, title="", default=False, required=False, **more):
        more.pop("value", None)
        super().__init__(key, default, None, required, title=title, **more)


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


class WrapperBase:
    """What a wrapper inherits: every method of its life, each doing nothing."""

    serviceId = ""
    version = ""
    call = "atmos"
    sub = "ase"
    call_type = "0"
    hosts = ""
    route = ""
    requestCls = None
    responseCls = None
    config = {}

    def __init__(self, *_args, **_kwargs):
        pass

    @property
    def session(self):
        """The handles and threads of stream sessions, made on first use."""
        if "_session" not in self.__dict__:
            self.__dict__["_session"] = SessionManager()
        return self.__dict__["_session"]

    def wrapperInit(self, config):
        return 0

    def wrapperFini(self):
        return 0

    def wrapperError(self, ret):
        return "wrapper error %s" % ret

    def wrapperOnceExec(self, params, reqData, usrTag="", persId=0):
        raise NotImplementedError("wrapperOnceExec")

    def wrapperOnceExecAsync(self, params, reqData, sid, persId=0):
        raise NotImplementedError("wrapperOnceExecAsync")

    def wrapperCreate(self, params, sid, persId=0, usrTag=""):
        raise NotImplementedError("wrapperCreate")

    def wrapperWrite(self, handle, req, sid=""):
        raise NotImplementedError("wrapperWrite")

    def wrapperRead(self, handle):
        raise NotImplementedError("wrapperRead")

    def wrapperDestroy(self, handle):
        return 0

    def wrapperLoadRes(self, reqData, resId):
        return 0

    def wrapperUnloadRes(self, resId):
        return 0

    def wrapperTestFunc(self, data, respData):
        return 0
