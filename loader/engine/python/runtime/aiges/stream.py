"""Sessions with a thread each, for wrappers that stream."""

import queue
import threading


class StreamHandleThread(threading.Thread):
    """A wrapper's own thread for one session at a time: it overrides run() and loops on `session_thread.in_q`."""

    def __init__(self, session_thread, in_q=None, out_q=None):
        super().__init__(daemon=True)
        self.session_thread = session_thread
        self.in_q = session_thread.in_q if in_q is None else in_q
        self.out_q = session_thread.out_q if out_q is None else out_q
        self.is_stopping = False

    def stop(self):
        self.is_stopping = True

    def run(self):
        raise NotImplementedError("run")


class WorkerThread:
    """One handle of the pool: its queues, and what the session that uses it was created with."""

    def __init__(self, handle):
        self.handle = handle
        self.in_q = queue.Queue()
        self.out_q = queue.Queue()
        self.thread = None
        self.reset()

    def reset(self):
        """Makes the handle idle and forgets its session."""
        self.sid = ""
        self.params = {}
        self.callback_fn = None
        self.is_idle = True
        for old in (self.in_q, self.out_q):
            while not old.empty():
                try:
                    old.get_nowait()
                except queue.Empty:
                    break

    def setup_sid(self, sid):
        self.sid = sid

    def setup_params(self, params):
        self.params = params

    def setup_callback_fn(self, callback_fn):
        self.callback_fn = callback_fn


class SessionManager:
    """A pool of handles, each with a thread of the wrapper's own class."""

    def __init__(self):
        self._lock = threading.Lock()
        self._handles = {}
        self.config = {}

    def init_wrapper_config(self, config):
        self.config = config

    def init_handle_pool(self, kind, num, thread_class):
        """Makes `num` handles named `Process-0-Thread-<i>` and starts a thread of `thread_class` for each."""
        if kind != "thread":
            raise ValueError("init_handle_pool: only 'thread' handles exist, got %r" % (kind,))
        for index in range(num):
            worker = WorkerThread("Process-0-Thread-%d" % index)
            worker.thread = thread_class(worker, worker.in_q, worker.out_q)
            worker.thread.daemon = True
            worker.thread.start()
            self._handles[worker.handle] = worker

    def get_idle_handle(self):
        """A handle that no session uses, now in use; None when there is none."""
        with self._lock:
            for worker in self._handles.values():
                if worker.is_idle:
                    worker.is_idle = False
                    return worker.handle
        return None

    def get_session(self, handle):
        """The session of a handle; None for a handle that does not exist."""
        return self._handles.get(handle)

    def release(self, handle):
        """Gives a handle back to the pool."""
        worker = self._handles.get(handle)
        if worker is not None:
            worker.reset()
