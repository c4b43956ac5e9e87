"""The process in which a Python wrapper computes: started by the loader, standard library only, Python 3.8 and newer."""

import json
import os
import queue
import signal
import socket
import sys
import threading
import traceback

import athena_session
import athena_wrapper
import frames


_PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h


def main():
    _end_with_parent()
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(os.environ.pop("ATHENA_ENGINE_SOCKET"))
    channel = frames.Channel(stream, threading.Lock())
    channel.send(frames.HELLO, 0, frames.text(os.environ.pop("ATHENA_ENGINE_TOKEN")))
    calls = queue.SimpleQueue()
    sessions = {}
    runner = None
    while True:
        frame = channel.receive()
        if frame is None:
            break
        kind, call_id, body = frame
        if kind == frames.INIT:
            runner = _start(channel, calls, frames.Reader(body).map())
        elif kind == frames.EXEC:
            calls.put((call_id, body))
        elif kind == frames.CREATE:
            sessions[call_id] = athena_session.Session(channel, runner, call_id, body, sessions)
        elif kind in (frames.WRITE, frames.CANCEL):
            session = sessions.get(call_id)
            if session is not None:
                session.put(None if kind == frames.CANCEL else body)
        elif kind == frames.PING:
            channel.send(frames.PONG, call_id)
        elif kind == frames.STOP:
            break
    _stop(runner)


def _end_with_parent():
    """Asks the kernel to end this process with its parent: a wrapper that loops for ever would not see its socket close."""
    try:
        import ctypes  # Some builds lack it.

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, AttributeError, OSError):
        pass  # Linux alone has this call.


def _start(channel, calls, config):
    """Loads the wrapper and starts its threads; says READY, or why not."""
    try:
        channel.send(frames.PROGRESS, 0, frames.text("loading " + config["class"]))
        runner = athena_wrapper.Runner(athena_wrapper.load(config["wrapper"], config["class"]))
        runner.init(json.loads(config["config"]))
    except BaseException as error:  # sys.exit in user code too
        traceback.print_exc()
        channel.send(frames.FAILED, 0, athena_wrapper.failure(error))
        return None
    for _ in range(int(config["threads"])):
        threading.Thread(target=_serve, args=(channel, calls, runner), daemon=True).start()
    channel.send(frames.READY, 0, frames.text(""))
    return runner


def _serve(channel, calls, runner):
    while True:
        call_id, body = calls.get()
        try:
            reader = frames.Reader(body)
            sid, _headers, parameters = reader.text(), reader.map(), reader.map()
            expects = {name: kind for name, kind, _ in reader.list(reader.description)}
            parts = runner.once(sid, parameters, expects, reader.list(reader.part))
            channel.send(frames.RESULT, call_id, frames.result(frames.ONCE, parts))
        except BaseException as error:  # one request fails, the process goes on
            if not isinstance(error, athena_wrapper.WrapperFailed):
                traceback.print_exc()
            channel.send(frames.FAILED, call_id, athena_wrapper.failure(error))


def _stop(runner):
    try:
        if runner is not None:
            runner.fini()
    except BaseException:  # the process ends all the same
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of user code may never end by themselves.
    os._exit(0)


if __name__ == "__main__":
    main()
