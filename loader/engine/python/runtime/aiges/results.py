"""Where a wrapper's callbacks find the requests and sessions that they belong to."""

import threading


class Results:
    """Who waits for what, by the tag that the wrapper was given."""

    def __init__(self):
        self._lock = threading.Lock()
        self._receivers = {}

    def register(self, tag, receive):
        """From now on `receive` gets what is delivered under this tag. Raises ValueError for one that is in use."""
        with self._lock:
            if tag in self._receivers:
                raise ValueError("the tag %r is in use" % (tag,))
            self._receivers[tag] = receive

    def forget(self, tag):
        with self._lock:
            self._receivers.pop(tag, None)

    def deliver(self, response, tag):
        """What a wrapper's callback calls. 0 when somebody waits for this tag, else -1."""
        with self._lock:
            receive = self._receivers.get(tag)
        if receive is None:
            return -1
        receive(response)
        return 0


results = Results()
