"""What user code may ask about the call that it computes."""

import contextvars
import threading

_current = contextvars.ContextVar("athena.contexts", default=())


class Context:
    """One call: who asked, with what."""

    def __init__(self, sid="", headers=None, parameters=None):
        self.sid = sid
        self.headers = {} if headers is None else headers
        # As they came, all text.
        self.parameters = {} if parameters is None else parameters
        self._is_cancelled = False

    @property
    def cancelled(self):
        """A threading.Event that is set when nobody waits for the answer any more."""
        # Made when it is asked for: few calls do. `setdefault` is atomic.
        event = self.__dict__.get("_event") or self.__dict__.setdefault("_event", threading.Event())
        if self._is_cancelled:
            event.set()
        return event

    def _cancel(self):
        self._is_cancelled = True
        event = self.__dict__.get("_event")
        if event is not None:
            event.set()


def context():
    """The call that this thread, or this task, computes."""
    found = _current.get()
    if len(found) == 1:
        return found[0]
    if not found:
        raise RuntimeError("athena.context(): no call is being computed here")
    raise RuntimeError("athena.context(): %d calls are being computed together, see athena.contexts()" % len(found))


def contexts():
    """The calls that a batch function computes together, in the order of their inputs."""
    return list(_current.get())
