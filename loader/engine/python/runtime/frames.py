"""The messages between loader and worker; ../../host/README.md has the format."""

import struct

INIT, EXEC, CREATE, WRITE, CANCEL, LOAD_RESOURCE, UNLOAD_RESOURCE, STOP, PING = range(1, 10)
HELLO, PROGRESS, READY, RESULT, DONE, FAILED, PONG, ACK = range(64, 72)

BEGIN, CONTINUE, END, ONCE = range(4)

_HEADER = struct.Struct("<IBI")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")


class Reader:
    """Reads one frame's body from its start to its end."""

    def __init__(self, body):
        self._body = memoryview(body)
        self._at = 0

    def u8(self):
        self._at += 1
        return self._body[self._at - 1]

    def u32(self):
        (value,) = _U32.unpack_from(self._body, self._at)
        self._at += 4
        return value

    def bytes(self):
        size = self.u32()
        start = self._at
        if start + size > len(self._body):
            raise ValueError("a frame ends too early")
        self._at = start + size
        return bytes(self._body[start : self._at])

    def text(self):
        return self.bytes().decode("utf-8")

    def map(self):
        return {self.text(): self.text() for _ in range(self.u32())}

    def part(self):
        """(name, type, attributes, data)"""
        return self.text(), self.u8(), self.map(), self.bytes()

    def description(self):
        """(name, type, attributes)"""
        return self.text(), self.u8(), self.map()

    def list(self, read):
        return [read() for _ in range(self.u32())]


def text(value):
    data = value.encode("utf-8")
    return _U32.pack(len(data)) + data


def text_map(value):
    pieces = [_U32.pack(len(value))]
    for key, item in value.items():
        pieces.append(text(str(key)))
        pieces.append(text(str(item)))
    return b"".join(pieces)


def result(status, parts):
    """The body of RESULT; parts are (name, type, attributes, data)."""
    pieces = [bytes((status,)), _U32.pack(len(parts))]
    for name, kind, attributes, data in parts:
        pieces += (text(name), bytes((kind,)), text_map(attributes), _U32.pack(len(data)), data)
    return b"".join(pieces)


def failure(reason, code, message):
    """The body of FAILED."""
    return text(reason) + _I32.pack(max(-(2**31), min(2**31 - 1, code))) + text(message)


class Channel:
    """The socket to the loader. Frames may be sent from any thread."""

    def __init__(self, socket, lock):
        self._socket = socket
        self._lock = lock
        self._input = socket.makefile("rb", buffering=262144)

    def send(self, kind, call_id, body=b""):
        head = _HEADER.pack(len(body) + 5, kind, call_id)
        with self._lock:
            # One write for what is small; a large body is not copied beside its header.
            if len(body) < 65536:
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._socket.sendall(body)

    def receive(self):
        """The next frame as (kind, call id, body); None when the loader is gone."""
        head = self._input.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None
        size, kind, call_id = _HEADER.unpack(head)
        body = self._input.read(size - 5)
        return None if len(body) < size - 5 else (kind, call_id, body)
