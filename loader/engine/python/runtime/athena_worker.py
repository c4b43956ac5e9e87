"""The process in which Python code computes: started by the loader, standard library only, Python 3.8 and newer."""

import functools
import json
import os
import signal
import socket
import sys
import time
import traceback

import athena_call
import athena_channel
import athena_frames as frames
import athena_load
import athena_notes
import athena_resources
import athena_threads

_PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h
# How long sessions have to end when the process is to: well within what the loader gives it.
_LAST_SESSIONS_S = 1


def main():
    _end_with_parent()
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(os.environ.pop("ATHENA_ENGINE_SOCKET"))
    channel = athena_notes.channel = athena_channel.Channel(stream)
    channel.send(frames.HELLO, 0, [frames.text(os.environ.pop("ATHENA_ENGINE_TOKEN"))])
    frame = channel.receive()
    if frame is None or frame[0] != frames.INIT:
        return
    config = frame[2].map()
    channel.max_frame_bytes = int(config["maxFrameBytes"])
    runner = _start(channel, config)
    if runner is None:
        # The loader knows why, and says when to end.
        channel.receive()
        os._exit(1)
    threads = runner.loop_alone or athena_threads.Threads(int(config["threads"]), channel.flush)
    threads.read(Worker(channel, runner, threads, int(config["cancelGraceMs"]) / 1000).take)


def _end_with_parent():
    """Asks the kernel to end this process with its parent: a wrapper that loops for ever would not see its socket close."""
    try:
        import ctypes  # Some builds lack it.

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, AttributeError, OSError):
        pass  # Linux alone has this call.


def _start(channel, config):
    """Loads the user's code and says READY, with what it tells about its service; or why not."""
    try:
        channel.send(frames.PROGRESS, 0, [frames.text("loading " + os.path.basename(config["wrapper"]))])
        runner = athena_load.load(config["wrapper"], config["class"], channel)
        runner.init(json.loads(config["config"]))
        description = json.dumps(runner.description())
    except BaseException as error:  # sys.exit in user code too
        try:
            traceback.print_exc()
        except Exception:  # user code has closed the output
            pass
        channel.send(frames.FAILED, 0, athena_call.failure(error))
        return None
    channel.send(frames.READY, 0, [frames.text(description)])
    return runner


class Worker:
    """What is done with each frame."""

    def __init__(self, channel, runner, threads, cancel_grace_s):
        self._channel = channel
        self._runner = runner
        self._threads = threads
        self._calls = athena_call.Calls(channel, cancel_grace_s)
        self._resources = athena_resources.Resources(channel, runner)
        # The calls of a group that have come, and how many are still to come.
        self._group = []
        self._left_of_group = 0

    def take(self):
        """Takes in one frame."""
        channel = self._channel
        if not channel.has_frame:
            channel.flush()
        frame = channel.receive()
        if frame is None or frame[0] == frames.STOP:
            self._threads.stop(self._stop)
            return
        kind, call_id, fields = frame
        if kind == frames.EXEC:
            self._execute(athena_call.Call(self._calls, call_id, frames.Request(fields)))
        elif kind == frames.GROUP:
            self._left_of_group = fields.u32()
        elif kind == frames.CREATE:
            stream = athena_call.Stream(self._calls, call_id, frames.Request(fields))
            self._runner.open(stream, self._threads.put)
        elif kind == frames.WRITE:
            stream = self._calls.open.get(call_id)
            if stream is not None:
                stream.session.put(fields.u8() == 1, fields.list(fields.part))
        elif kind == frames.TAKEN:
            stream = self._calls.open.get(call_id)
            if stream is not None:
                stream.taken(fields.u32())
        elif kind == frames.CANCEL:
            self._calls.cancel(call_id)
        elif kind in (frames.LOAD_RESOURCE, frames.UNLOAD_RESOURCE):
            self._resources.take(kind, call_id, fields)
        elif kind == frames.PING:
            channel.send(frames.PONG, call_id)

    def _stop(self):
        """Ends the process: sessions first, which are to be destroyed before the wrapper is, then the wrapper."""
        streams = [call for call in list(self._calls.open.values()) if isinstance(call, athena_call.Stream)]
        for stream in streams:
            stream.close()
        deadline = time.monotonic() + _LAST_SESSIONS_S
        while any(stream.id in self._calls.open for stream in streams) and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            self._runner.close()
        except BaseException:  # the process ends all the same
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads of user code may never end by themselves.
        os._exit(0)

    def _execute(self, call):
        if self._left_of_group == 0:
            self._threads.run(functools.partial(self._runner.execute, call))
            return
        self._group.append(call)
        self._left_of_group -= 1
        if self._left_of_group == 0:
            group, self._group = self._group, []
            self._threads.run(functools.partial(self._runner.group, group))


if __name__ == "__main__":
    main()
