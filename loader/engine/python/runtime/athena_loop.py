"""The event loop on which asynchronous services compute, beside the thread that reads the loader's frames or instead of it."""

import asyncio
import collections
import os
import threading
import traceback

from athena._context import _current


class Loop:
    """Runs the coroutines of calls, and sends what they left to be sent."""

    def __init__(self, channel):
        self._channel = channel
        self._thread = None
        self._loop = asyncio.new_event_loop()
        # What user code makes for the loop before it runs, locks of Python 3.8 for example, is made for this one.
        asyncio.set_event_loop(self._loop)
        self._waiting = collections.deque()
        self._is_woken = False
        self._is_flushing = False

    def start(self):
        """Runs on a thread of its own."""
        threading.Thread(target=self._run, daemon=True).start()

    def read(self, step):
        """Runs on this thread, for ever, and calls `step`, which takes in one frame, whenever there is one."""

        def on_readable():
            try:
                step()
                while self._channel.has_frame:
                    step()
                self._channel.flush()
            except BaseException:
                # A worker that does not read is deaf.
                traceback.print_exc()
                os._exit(1)

        self._loop.add_reader(self._channel, on_readable)
        self._run()

    def run(self, work):
        """Does what a frame asks for, which for this loop is to begin a task."""
        work()

    put = run

    def stop(self, end):
        """Calls `end`, which ends the process, while the loop goes on."""
        self._loop.remove_reader(self._channel)
        threading.Thread(target=end, daemon=True).start()

    def wait_for(self, coroutine):
        """Runs a coroutine to its end, for another thread that waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def call(self, function):
        """Calls a function on the loop's thread, in order. A burst of calls wakes it once."""
        if threading.get_ident() == self._thread and not self._waiting:
            function()
            return
        self._waiting.append(function)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._take)

    def create_future(self):
        return self._loop.create_future()

    def submit(self, calls, work):
        """
        Begins `work`, which makes a coroutine of its task, for calls that are computed together. They are over when it is.
        """
        task = Task(self, calls, work)
        self.call(task.begin)
        return task

    def create_task(self, coroutine):
        return self._loop.create_task(coroutine)

    def flush_soon(self):
        """Sends what the tasks of this turn of the loop left to be sent, at once."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush_now)

    def _take(self):
        self._is_woken = False
        while self._waiting:
            self._waiting.popleft()()

    def _flush_now(self):
        self._is_flushing = False
        self._channel.flush()

    def _run(self):
        self._thread = threading.get_ident()
        self._loop.run_forever()


class Task:
    """The coroutine of some calls."""

    def __init__(self, loop, calls, work):
        self._loop = loop
        self._calls = calls
        self._work = work
        self._task = None

    def begin(self):
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._end)

    def cancel(self):
        """From any thread."""
        self._loop.call(lambda: self._task.cancel())

    async def _run(self):
        _current.set(tuple(call.context for call in self._calls))
        await self._work(self)

    def _end(self, _task):
        # Also where it was cancelled before its first step.
        for call in self._calls:
            call.done()
        self._loop.flush_soon()
