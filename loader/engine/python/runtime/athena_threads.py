"""Which thread reads the loader's frames, and which runs a call.

Handing a call from one thread to another costs more than a quick call itself. So as long as calls are quick, the thread
that reads them runs them too; when one of them is not, another thread reads on meanwhile.
"""

import functools
import os
import queue
import threading
import time
import traceback

# A call that takes longer is worth a thread of its own.
_QUICK_S = 0.0002
# Each quick call is a reason to take the next one for quick, each other one a reason against it: some take longer only
# because the machine does something else. So many reasons are enough, and more are not counted.
_LOSS = 4
_ENOUGH = 32
_MOST = 64
# After one to two of these another thread takes over the reading.
_TICK_S = 0.004


class Threads:
    """Runs work on `count` threads beside the one that reads; `flush` sends what it left to be sent."""

    def __init__(self, count, flush):
        self._flush = flush
        self._work = queue.SimpleQueue()
        self._lock = threading.Lock()
        # Whose turn it is to read; a thread that was relieved sees another number.
        self._turn = 0
        self._credit = 0
        # The number of the call that the reading thread runs itself now, 0 for none, and how many it ran.
        self._running = 0
        self._begun = 0
        self._is_watched = False
        self._alarm = threading.Lock()
        self._alarm.acquire()
        for target in [self._work_on] * count + [self._watch]:
            threading.Thread(target=target, daemon=True).start()

    def read(self, step):
        """Calls `step`, which takes in one frame, for as long as it is this thread's turn; then works, for ever."""
        self._step = step
        self._read(self._turn)
        self._flush()
        self._work_on()

    def stop(self, end):
        """Calls `end`, which ends the process."""
        end()

    def put(self, work):
        """Runs this on another thread."""
        self._work.put(work)

    def run(self, work):
        """Runs this on the thread that fits; to be called by the thread that reads."""
        if self._credit < _ENOUGH:
            self._work.put(functools.partial(self._measured, work))
            return
        with self._lock:
            self._begun = self._running = number = self._begun + 1
            if not self._is_watched:
                self._is_watched = True
                self._alarm.release()
        self._measured(work)
        with self._lock:
            if self._running == number:
                self._running = 0

    def _work_on(self):
        while True:
            self._work.get()()
            self._flush()

    def _read(self, turn):
        try:
            while self._turn == turn:
                self._step()
        except BaseException:
            # Without a thread that reads, the process would be deaf.
            traceback.print_exc()
            os._exit(1)

    def _measured(self, work):
        start = time.perf_counter()
        work()
        if time.perf_counter() - start < _QUICK_S:
            self._credit = min(_MOST, self._credit + 1)
        else:
            self._credit = max(0, self._credit - _LOSS)

    def _watch(self):
        while True:
            self._alarm.acquire()
            last = -1
            while True:
                time.sleep(_TICK_S)
                with self._lock:
                    if self._running != 0 and self._running == last:
                        self._relieve()
                    if self._running == 0 and self._begun == last:
                        # Nothing ran since the last look; the next that does gives the alarm.
                        self._is_watched = False
                        break
                    last = self._begun

    def _relieve(self):
        self._credit = 0
        self._running = 0
        self._turn += 1
        self._work.put(functools.partial(self._read, self._turn))
