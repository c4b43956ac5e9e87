"""One stream session of a wrapper, in a thread of its own."""

import queue
import threading
import time
import traceback

import athena_wrapper
import frames

# A wrapper that is read from may have nothing yet: it is asked again this often, for this long after the last input.
_READ_PAUSE_S = 0.05
_MAX_EMPTY_READS = 100


class Session:
    """Calls the wrapper's create, write, read and destroy for one session, in order and never two at once."""

    def __init__(self, channel, runner, call_id, body, sessions):
        reader = frames.Reader(body)
        self._sid, _headers, self._parameters = reader.text(), reader.map(), reader.map()
        self._expects = {name: kind for name, kind, _ in reader.list(reader.description)}
        self._channel = channel
        self._runner = runner
        self._call_id = call_id
        self._sessions = sessions
        self._input = queue.SimpleQueue()
        # Results come from any thread, and none may follow the last.
        self._lock = threading.Lock()
        self._is_over = False
        self._is_cancelled = False
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, body):
        """The next chunk; None ends the session, and chunks that are still queued are not for the wrapper."""
        if body is None:
            self._is_cancelled = True
        self._input.put(body)

    def _run(self):
        handle = None
        try:
            athena_wrapper.results.register(self._sid, self._deliver)
            handle = self._runner.create(self._sid, self._parameters)
            self._take_input(handle)
        except BaseException as error:  # one session fails, the process goes on
            if not isinstance(error, athena_wrapper.WrapperFailed):
                traceback.print_exc()
            self._finish(frames.FAILED, athena_wrapper.failure(error))
        finally:
            athena_wrapper.results.forget(self._sid)
            self._sessions.pop(self._call_id, None)
            self._destroy(handle)
            with self._lock:
                self._is_over = True
                self._channel.send(frames.DONE, self._call_id)

    def _take_input(self, handle):
        while True:
            body = self._input.get()
            if body is None or self._is_cancelled:
                return
            reader = frames.Reader(body)
            is_last = reader.u8() == 1
            self._runner.write(handle, self._sid, reader.list(reader.part))
            self._channel.send(frames.ACK, self._call_id)
            if self._runner.is_read:
                self._read(handle, is_last)

    def _read(self, handle, is_last):
        empty = 0
        while not (self._is_over or self._is_cancelled):
            response = self._runner.read(handle)
            if response is not None:
                empty = 0
                self._deliver(response)
            if not is_last:
                return
            if response is None:
                empty += 1
                if empty == _MAX_EMPTY_READS:
                    raise athena_wrapper.WrapperFailed("wrapperRead gave no last result")
                time.sleep(_READ_PAUSE_S)

    def _deliver(self, response):
        try:
            status, parts = self._runner.parts_of(response, self._expects)
        except BaseException as error:  # told to the caller; the callback's own thread goes on
            self._finish(frames.FAILED, athena_wrapper.failure(error))
            self.put(None)
            return
        if status >= frames.END:
            self._finish(frames.RESULT, frames.result(status, parts))
            # The wrapper is done: its session is destroyed without waiting for the loader to say so.
            self.put(None)
            return
        with self._lock:
            if not self._is_over:
                self._channel.send(frames.RESULT, self._call_id, frames.result(status, parts))

    def _finish(self, kind, body=b""):
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            self._channel.send(kind, self._call_id, body)

    def _destroy(self, handle):
        if handle is None:
            return
        try:
            self._runner.destroy(handle)
        except BaseException:  # nobody waits for it any more
            traceback.print_exc()
