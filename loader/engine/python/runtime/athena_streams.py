"""Sessions of a service that is written for the module athena."""

import collections
import queue

import athena_frames as frames
from athena._errors import Cancelled, InvalidInput
from athena_answer import each, run_here
from athena_call import WrapperFailed

# What the chunks of an input that is not an iterator may hold together: as much as a once-call.
_MAX_INPUT_BYTES = 1 << 28


class _Session:
    """Gathers or hands on a session's input, and sends what the function yields at once."""

    def __init__(self, method, stream):
        self._method = method
        self._stream = stream
        self._has_begun = False

    async def _next(self):
        """The next chunk as (is_last, parts). Raises Cancelled when the caller is gone."""
        raise NotImplementedError

    async def _room(self):
        """Waits until a result may be sent."""
        raise NotImplementedError

    async def compute(self):
        """The whole session, up to its last result."""
        signature, stream = self._method.signature, self._stream
        keywords = signature.parameter_values(stream.request.parameters)
        if signature.stream_input is None:
            arguments = signature.input_values(await self._gather())
        else:
            first = await self._next()
            chunks = self._chunks_async if signature.is_async else self._chunks
            arguments = signature.input_values(first[1], lambda _input, _parts: chunks(first))
        value = self._method.function(*arguments, **keywords)
        if signature.is_iterated:
            await each(value, stream, self._give, self._room)
            # It cannot be known of a result that it is the last before there is no other, and it is not to wait for that.
            ending = [(output.name, output.codec.kind, {}, b"") for output in signature.outputs if output.codec.joins]
        else:
            ending = signature.parts_of(await value if signature.is_async else value)
        stream.result(frames.END, ending)

    def _give(self, item):
        status = frames.CONTINUE if self._has_begun else frames.BEGIN
        self._has_begun = True
        self._stream.result(status, self._method.signature.parts_of(item))

    async def _gather(self):
        """The parts of all chunks, those of one name put together."""
        whole = {}
        size = 0
        is_last = False
        while not is_last:
            is_last, parts = await self._next()
            for name, kind, attributes, data in parts:
                whole.setdefault(name, (name, kind, attributes, []))[3].append(data)
                size += len(data)
            if size > _MAX_INPUT_BYTES:
                raise InvalidInput("the input is larger than %d bytes" % _MAX_INPUT_BYTES)
        return [(name, kind, attributes, b"".join(data)) for name, kind, attributes, data in whole.values()]

    def _chunks(self, chunk):
        while True:
            yield from self._items(chunk)
            if chunk[0]:
                return
            chunk = run_here(self._next())

    async def _chunks_async(self, chunk):
        while True:
            for item in self._items(chunk):
                yield item
            if chunk[0]:
                return
            chunk = await self._next()

    def _items(self, chunk):
        """What a chunk has for the function's iterator. An empty last one only says that it is the last."""
        is_last, parts = chunk
        one = self._method.signature.stream_input
        return [
            one.codec.decode(name, attributes, data)
            for name, _, attributes, data in parts
            if name == one.name and not (is_last and not data)
        ]


class Session(_Session):
    """A session that blocks a thread."""

    def __init__(self, method, stream):
        super().__init__(method, stream)
        self._input = queue.SimpleQueue()

    def run(self):
        try:
            self._stream.run(run_here, self.compute())
        except BaseException as error:  # sys.exit too: one session fails, the process goes on
            self._stream.fail(error)
        finally:
            self._stream.done()

    def put(self, is_last, parts):
        self._input.put((is_last, parts))

    def stop(self):
        self._input.put(None)

    async def _room(self):
        self._stream.wait_for_room()

    async def _next(self):
        chunk = self._input.get()
        if chunk is None or self._stream.is_cancelled:
            raise Cancelled("the caller is gone")
        self._stream.ack()
        return chunk


class AsyncSession(_Session):
    """A session that is a task of an event loop."""

    def __init__(self, method, stream, loop):
        super().__init__(method, stream)
        self._loop = loop
        self._input = collections.deque()
        self._changes = []
        stream.on_room = lambda: loop.call(self._wake)
        self._task = loop.submit([stream], self._work)

    def put(self, is_last, parts):
        self._input.append((is_last, parts))
        self._loop.call(self._wake)

    def stop(self):
        self._task.cancel()

    async def _work(self, _task):
        try:
            await self.compute()
        except BaseException as error:  # one session fails, the process goes on
            self._stream.fail(error)

    def _wake(self):
        changes, self._changes = self._changes, []
        for change in changes:
            if not change.done():
                change.set_result(None)

    async def _room(self):
        while not self._stream.has_room:
            await self._change()

    async def _change(self):
        """Waits until something has come from the loader."""
        change = self._loop.create_future()
        self._changes.append(change)
        await change

    async def _next(self):
        while not self._input:
            await self._change()
        self._stream.ack()
        return self._input.popleft()


class Refused:
    """A session of a service that has none."""

    def __init__(self, stream):
        stream.fail(WrapperFailed("the service has no sessions, only once-calls"))
        stream.done()

    def put(self, is_last, parts):
        pass

    def stop(self):
        pass
