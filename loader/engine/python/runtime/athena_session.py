"""One stream session of a wrapper of the predecessor."""

import queue
import time
import traceback

from aiges.results import results

import athena_frames as frames
from athena_call import WrapperFailed

# A wrapper that is read from may have nothing yet: it is asked again this often, for this long after the last input.
_READ_PAUSE_S = 0.05
_MAX_EMPTY_READS = 100


class Session:
    """Calls the wrapper's create, write, read and destroy for one session, in order and never two at once."""

    def __init__(self, runner, stream):
        self._runner = runner
        self._stream = stream
        self._input = queue.SimpleQueue()
        self._is_stopped = False

    def put(self, is_last, parts):
        """The next chunk."""
        self._input.put((is_last, parts))

    def stop(self):
        """Ends the session; chunks that are still queued are not for the wrapper."""
        self._is_stopped = True
        self._input.put(None)

    def run(self):
        """The whole session."""
        try:
            results.register(self._stream.request.sid, self._deliver)
        except ValueError as error:  # its results could not be told from another's
            self._stream.fail(error)
            self._stream.done()
            return
        try:
            self._run()
        finally:
            self._stream.done()

    def _run(self):
        stream = self._stream
        handle = None
        try:
            handle = stream.run(self._runner.create, stream.request)
            self._take_input(handle)
        except BaseException as error:  # one session fails, the process goes on
            stream.fail(error)
        finally:
            results.forget(stream.request.sid)
            self._destroy(handle)

    def _take_input(self, handle):
        stream = self._stream
        while True:
            chunk = self._input.get()
            if self._is_stopped:
                return
            is_last, parts = chunk
            stream.run(self._runner.write, handle, stream.request.sid, parts)
            stream.ack()
            if self._runner.is_read:
                self._read(handle, is_last)

    def _read(self, handle, is_last):
        empty = 0
        while not (self._stream.is_over or self._is_stopped):
            response = self._stream.run(self._runner.read, handle)
            if response is not None:
                empty = 0
                self._deliver(response)
            if not is_last:
                return
            if response is None:
                empty += 1
                if empty == _MAX_EMPTY_READS:
                    raise WrapperFailed("wrapperRead gave no last result")
                time.sleep(_READ_PAUSE_S)

    def _deliver(self, response):
        try:
            status, parts = self._runner.parts_of(response, self._stream.request.expects)
            if status < frames.END:
                self._stream.wait_for_room()
            self._stream.result(status, parts)
        except BaseException as error:  # told to the caller; the callback's own thread goes on
            status = frames.END
            self._stream.fail(error)
        if status >= frames.END:
            # The wrapper is done: its session is destroyed without waiting for the loader to say so.
            self.stop()

    def _destroy(self, handle):
        if handle is None:
            return
        try:
            self._runner.destroy(handle)
        except BaseException:  # nobody waits for it any more
            traceback.print_exc()
