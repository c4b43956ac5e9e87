"""The messages between loader and worker; ../../host/README.md has the format."""

import struct

INIT, EXEC, CREATE, WRITE, CANCEL, LOAD_RESOURCE, UNLOAD_RESOURCE, STOP, PING, GROUP, TAKEN = range(1, 12)
HELLO, PROGRESS, READY, RESULT, DONE, FAILED, PONG, ACK, METER, TRACE = range(64, 74)

BEGIN, CONTINUE, END, ONCE = range(4)
TEXT, AUDIO, IMAGE, VIDEO, OTHER = range(1, 6)

HEADER = struct.Struct("<IBI")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_read_u32 = _U32.unpack_from


class Fields:
    """Reads the fields of a frame's body; `take` gives its next bytes."""

    def take(self, size):
        raise NotImplementedError

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def bytes(self):
        return self.take(self.u32())

    def text(self):
        return self.bytes().decode("utf-8")

    def map(self):
        count = self.u32()
        return {self.text(): self.text() for _ in range(count)} if count else {}

    def part(self):
        """(name, type, attributes, data)"""
        return self.text(), self.u8(), self.map(), self.bytes()

    def description(self):
        """(name, type, attributes)"""
        return self.text(), self.u8(), self.map()

    def list(self, read):
        count = self.u32()
        return [read() for _ in range(count)] if count else []


class Body(Fields):
    """The fields of a body that is there as a whole, between two places of a chunk."""

    def __init__(self, chunk, start, end):
        self._chunk = chunk
        self._at = start
        self._end = end

    def take(self, size):
        start = self._at
        self._at = end = start + size
        if end > self._end:
            raise ValueError("a frame ends too early")
        return self._chunk[start:end]

    # A request has a dozen lengths: reading them in place saves a fifth of the time that reading it takes.

    def u32(self):
        start = self._at
        self._at = end = start + 4
        if end > self._end:
            raise ValueError("a frame ends too early")
        return _read_u32(self._chunk, start)[0]

    def bytes(self):
        return self.take(self.u32())


class Request:
    """What EXEC and CREATE bring."""

    __slots__ = ("sid", "headers", "parameters", "expects", "parts", "resource_ids")

    def __init__(self, fields):
        self.sid = fields.text()
        self.headers = fields.map()
        self.parameters = fields.map()
        # The declared type of each output, by its name.
        self.expects = {name: kind for name, kind, _ in fields.list(fields.description)}
        self.parts = fields.list(fields.part)
        self.resource_ids = fields.list(fields.u32)


def text(value):
    # A lone surrogate, which a file's name may hold, must not keep a failure from being told.
    data = value.encode("utf-8", "replace")
    return _U32.pack(len(data)) + data


def i32(value):
    return _I32.pack(max(-(2**31), min(2**31 - 1, value)))


def text_map(value):
    pieces = [_U32.pack(len(value))]
    for key, item in value.items():
        pieces.append(text(str(key)))
        pieces.append(text(str(item)))
    return b"".join(pieces)


def result(status, parts):
    """The body of RESULT, in pieces; parts are (name, type, attributes, data), and data is not copied."""
    pieces = [bytes((status,)) + _U32.pack(len(parts))]
    for name, kind, attributes, data in parts:
        pieces.append(text(name) + bytes((kind,)) + text_map(attributes) + _U32.pack(len(data)))
        pieces.append(data)
    return pieces


def failure(reason, code, message):
    """The body of FAILED."""
    return [text(reason), i32(code), text(message)]
