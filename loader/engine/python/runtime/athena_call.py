"""One call of the loader's, once or a session, from its frame to its end."""

import sys
import threading
import traceback

try:
    import ctypes
except ImportError:  # some builds lack it: then nothing is interrupted
    ctypes = None

import athena_frames as frames
from athena_channel import Channel, FrameTooLarge
from athena._context import Context, _current
from athena._errors import Cancelled, Error, InvalidInput

# An exception is raised in another thread, or withdrawn, under this lock.
_interrupting = threading.Lock()
# How long a thread that is sending is let be.
_SENDING_S = 0.01


class WrapperFailed(Exception):
    """The user's code, or what it gave, is not what it has to be: told in these words, with its own code."""

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


# Errors that have a code, and whose words are all there is to say.
_told = (Error, WrapperFailed, FrameTooLarge)
# As much as the loader tells.
_MAX_WORDS = 4096


def failure(error):
    """The body of a FAILED frame for anything that user code threw."""
    try:
        words = str(error)[:_MAX_WORDS]
    except Exception:  # a class of the user's own
        words = "it cannot say why"
    if isinstance(error, InvalidInput):
        return frames.failure("INVALID_INPUT", 0, words)
    if isinstance(error, _told):
        return frames.failure("ENGINE_FAILED", error.code, words)
    return frames.failure("ENGINE_FAILED", 0, "%s: %s" % (type(error).__name__, words))


def report(error):
    """Prints the stack of an error that does not say by itself all there is to say."""
    if isinstance(error, (InvalidInput, Cancelled) + _told):
        return
    try:
        traceback.print_exception(type(error), error, error.__traceback__)
    except Exception:  # user code has closed the output
        pass


class Calls:
    """The calls of this worker that have not ended, by their ids."""

    def __init__(self, channel, cancel_grace_s):
        self.channel = channel
        self.open = {}
        # The loader ends the process after the whole grace; before that what can be stopped is stopped.
        self._interrupt_after_s = cancel_grace_s / 2

    def cancel(self, call_id):
        call = self.open.get(call_id)
        if call is None:
            return
        call.cancel()
        if call.running is not None and call_id in self.open:
            _after(self._interrupt_after_s, call.running.interrupt)


class Call:
    """A once-call. However often it is ended, the loader hears of its first end alone."""

    def __init__(self, calls, call_id, request):
        self.request = request
        self.context = Context(request.sid, request.headers, request.parameters)
        self.id = call_id
        self._open = calls.open
        self._channel = calls.channel
        # The user code that runs, or ran last, for this call.
        self.running = None
        self._wake = None
        self._open[call_id] = self

    @property
    def is_cancelled(self):
        return self.context._is_cancelled

    def cancel(self):
        self.context._cancel()
        if self._wake is not None:
            self._wake()

    def on_cancel(self, wake):
        """Calls `wake` when the call is cancelled, or was."""
        self._wake = wake
        if self.is_cancelled:
            wake()

    def answer(self, parts):
        self._end(frames.RESULT, frames.result(frames.ONCE, parts))

    def done(self):
        self._end(frames.DONE)

    def fail(self, error):
        """Tells what went wrong; nothing to one who does not wait any more."""
        if self.is_cancelled:
            self.done()
            return
        report(error)
        self._end(frames.FAILED, failure(error))

    def _end(self, kind, pieces=()):
        if self._open.pop(self.id, None) is None:
            return
        try:
            self._channel.post(kind, self.id, pieces)
        except FrameTooLarge:
            self._open[self.id] = self
            raise

    def run(self, function, *arguments):
        """Runs user code on this thread as this call's."""
        return run((self,), function, *arguments)


# Results that may be sent ahead of their reader.
_MAX_AHEAD = 256


class Stream(Call):
    """A session. It has results up to its last one or its failure; its end, when it is destroyed, comes after that."""

    def __init__(self, calls, call_id, request):
        super().__init__(calls, call_id, request)
        # Results come from any thread, and none may follow the last.
        self._lock = threading.Condition(threading.Lock())
        self._is_over = False
        self._room = _MAX_AHEAD
        # Called, on whatever thread, when there may be room again.
        self.on_room = None
        # Where its input goes: `put(is_last, parts)`, and `stop()` when the caller is gone.
        self.session = None

    @property
    def is_over(self):
        return self._is_over

    def cancel(self):
        super().cancel()
        self._make_room(0)
        self.session.stop()

    @property
    def has_room(self):
        """Whether a result may be sent now; none is sent any more for a caller who is gone."""
        return self._room > 0 or self._is_over or self.is_cancelled

    def wait_for_room(self):
        """Waits for a slow reader."""
        with self._lock:
            while not self.has_room:
                self._lock.wait()

    def taken(self, count):
        """So many results have been read."""
        self._make_room(count)

    def _make_room(self, count):
        with self._lock:
            self._room += count
            self._lock.notify_all()
        if self.on_room is not None:
            self.on_room()

    def close(self):
        """Ends it because the process is to end."""
        with self._lock:
            if not self._is_over:
                self._is_over = True
                pieces = frames.failure("SERVICE_NOT_READY", 0, "the engine is stopping")
                self._channel.send(frames.FAILED, self.id, pieces)
        self.cancel()

    def ack(self):
        self._channel.send(frames.ACK, self.id)

    def result(self, status, parts):
        with self._lock:
            if not self._is_over and not self.is_cancelled:
                self._channel.send(frames.RESULT, self.id, frames.result(status, parts))
                self._room -= 1
                self._is_over = status >= frames.END

    def fail(self, error):
        if self.is_cancelled:
            return
        report(error)
        with self._lock:
            if not self._is_over:
                self._is_over = True
                self._channel.send(frames.FAILED, self.id, failure(error))
            self._lock.notify_all()

    def done(self):
        with self._lock:
            self._is_over = True
            self._lock.notify_all()
            if self._open.pop(self.id, None) is not None:
                self._channel.send(frames.DONE, self.id)


class _Run:
    """User code that runs on one thread for some calls."""

    def __init__(self, calls):
        self.calls = calls
        self._thread = threading.get_ident()
        self._is_interrupted = False

    def interrupt(self):
        """Raises Cancelled in the user code when it runs Python again, unless it is over or somebody waits for it."""
        with _interrupting:
            is_running = self._thread is not None and not self._is_interrupted
            if not is_running or not all(call.is_cancelled for call in self.calls):
                return
            if _is_sending(self._thread):
                _after(_SENDING_S, self.interrupt)
                return
            self._is_interrupted = True
            _raise_in(self._thread, Cancelled)

    def end(self):
        with _interrupting:
            thread, self._thread = self._thread, None
            if self._is_interrupted:
                # What was raised and did not arrive yet would arrive in what this thread does next.
                _raise_in(thread, None)


def run(calls, function, *arguments):
    """Runs user code on this thread for calls that are computed together."""
    token = _current.set(tuple(call.context for call in calls))
    running = _Run(calls)
    for call in calls:
        call.running = running
    try:
        return function(*arguments)
    finally:
        try:
            running.end()
        finally:
            _current.reset(token)


def _is_sending(thread):
    """Whether a thread whose user code has called back is on its way to the loader: a frame must not be torn."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_filename == Channel.flush.__code__.co_filename:
            return True
        frame = frame.f_back
    return False


def _after(seconds, function):
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


def _raise_in(thread, error):
    if ctypes is not None:
        exception = None if error is None else ctypes.py_object(error)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
