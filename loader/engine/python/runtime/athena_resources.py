"""Personal resources: loaded and unloaded one after the other, in the order in which the loader asks, beside the calls."""

import queue
import threading

import athena_frames as frames
from athena_call import failure, report


class Resources:
    """Does what the loader asks on a thread of its own: a wrapper may take its time for it while calls go on."""

    def __init__(self, channel, runner):
        self._channel = channel
        self._runner = runner
        self._work = queue.SimpleQueue()
        self._thread = None

    def take(self, kind, call_id, fields):
        """Takes in a LOAD_RESOURCE or an UNLOAD_RESOURCE."""
        resource_id = fields.u32()
        parts = fields.list(fields.part) if kind == frames.LOAD_RESOURCE else None
        self._work.put((call_id, resource_id, parts))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()

    def _serve(self):
        while True:
            call_id, resource_id, parts = self._work.get()
            try:
                if not getattr(self._runner, "takes_resources", False):
                    message = "the wrapper has no wrapperLoadRes"
                    self._channel.send(frames.FAILED, call_id, frames.failure("UNSUPPORTED_OPERATION", 0, message))
                    continue
                if parts is None:
                    self._runner.unload_resource(resource_id)
                else:
                    self._runner.load_resource(resource_id, parts)
                self._channel.send(frames.DONE, call_id)
            except BaseException as error:  # this resource is not loaded, the process goes on
                report(error)
                self._channel.send(frames.FAILED, call_id, failure(error))
