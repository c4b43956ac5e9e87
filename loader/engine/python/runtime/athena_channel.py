"""The socket between worker and loader."""

import collections
import io
import os
import threading

import athena_frames as frames

# A frame of at most so many bytes is read with what follows it, and sent in one piece; the data of a larger one is never
# copied here.
_SMALL_BYTES = 65536
_READ_BYTES = 262144
# Messages that may wait for the thread that writes; a thread that would add to more waits for its turn.
_MAX_WAITING = 256
# Fewer pieces than the kernel takes in one call on any system.
_PIECES_AT_ONCE = 512


class FrameTooLarge(Exception):
    """The loader would take this frame for a breach of the protocol, and end the process."""

    code = 0


class Channel:
    """Frames in, by one thread at a time, and frames out, from any thread."""

    def __init__(self, socket):
        self._socket = socket
        self._chunk = b""
        self._at = 0
        # One buffer of one byte reads each large piece straight into the bytes that user code gets.
        self._rest = io.BufferedReader(_Rest(self), 1)
        # The large frame that was given last: its fields may not have been read to the end.
        self._unread = None
        self._waiting = collections.deque()
        self._writing = threading.Lock()
        self.max_frame_bytes = 1 << 28

    def fileno(self):
        return self._socket.fileno()

    @property
    def has_frame(self):
        """Whether a small frame can be received without a wait."""
        left = len(self._chunk) - self._at
        return left >= frames.HEADER.size and left >= 4 + frames.HEADER.unpack_from(self._chunk, self._at)[0]

    def receive(self):
        """The next frame as (kind, call id, its fields), to be read before the next; None when the loader is gone."""
        if self._unread is not None:
            self._unread.skip()
            self._unread = None
        while True:
            chunk, at = self._chunk, self._at
            left = len(chunk) - at
            if left >= frames.HEADER.size:
                size, kind, call_id = frames.HEADER.unpack_from(chunk, at)
                start = at + frames.HEADER.size
                if left >= size + 4:
                    self._at = at + size + 4
                    return kind, call_id, frames.Body(chunk, start, self._at)
                if size > _SMALL_BYTES:
                    self._at = start
                    self._unread = _Stream(self._rest, size + 4 - frames.HEADER.size)
                    return kind, call_id, self._unread
            more = self._socket.recv(_READ_BYTES)
            if not more:
                return None
            self._chunk = chunk[at:] + more if left else more
            self._at = 0

    def post(self, kind, call_id, pieces=()):
        """Leaves a frame to be written by the next `flush`, of any thread."""
        size = sum(map(len, pieces)) + frames.HEADER.size
        if size > self.max_frame_bytes:
            raise FrameTooLarge("the answer is larger than %d bytes" % self.max_frame_bytes)
        head = frames.HEADER.pack(size - 4, kind, call_id)
        self._waiting.append((head, *pieces) if size > _SMALL_BYTES else (b"".join((head, *pieces)),))

    def flush(self):
        """Writes what was posted, unless another thread is at it: that one writes it too."""
        while self._waiting and self._writing.acquire(len(self._waiting) > _MAX_WAITING):
            try:
                self._write()
            except ConnectionError:
                return  # The loader is gone: the thread that reads notices, and ends the process.
            except OSError:
                os._exit(1)  # User code has closed the socket, which the thread that reads does not notice.
            finally:
                self._writing.release()

    def send(self, kind, call_id, pieces=()):
        self.post(kind, call_id, pieces)
        self.flush()

    def _write(self):
        pieces = []
        for _ in range(len(self._waiting)):
            pieces += self._waiting.popleft()
        if sum(map(len, pieces)) <= _SMALL_BYTES:
            self._socket.sendall(b"".join(pieces))
            return
        for start in range(0, len(pieces), _PIECES_AT_ONCE):
            _send_all(self._socket, pieces[start : start + _PIECES_AT_ONCE])


def _send_all(socket, pieces):
    sent = socket.sendmsg(pieces)
    for piece in pieces:
        if sent < len(piece):
            socket.sendall(memoryview(piece)[sent:])
            sent = 0
        else:
            sent -= len(piece)


class _Rest(io.RawIOBase):
    """What follows in the channel: first what was read already."""

    def __init__(self, channel):
        self._channel = channel

    def readable(self):
        return True

    def readinto(self, target):
        channel = self._channel
        chunk, at = channel._chunk, channel._at
        if at == len(chunk):
            return channel._socket.recv_into(target)
        channel._at = end = min(len(chunk), at + len(target))
        target[: end - at] = chunk[at:end]
        return end - at


class _Stream(frames.Fields):
    """The fields of a body that is read while it comes."""

    def __init__(self, rest, size):
        self._rest = rest
        self._left = size

    def take(self, size):
        if size > self._left:
            raise ValueError("a frame ends too early")
        self._left -= size
        data = self._rest.read(size)
        if len(data) < size:
            raise EOFError("the loader is gone")
        return data

    def skip(self):
        while self._left > 0:
            self.take(min(self._left, _READ_BYTES))
