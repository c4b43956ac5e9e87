"""What user code counts and notes for the operator. In a worker it goes to the loader, elsewhere it is printed."""

import athena_frames as frames

# The channel to the loader, once there is one.
channel = None


def meter(tag, key, count):
    """Counts so many of a thing."""
    if channel is None:
        return _print("meter", tag, key, count)
    channel.send(frames.METER, 0, [frames.text(str(tag)), frames.text(str(key)), frames.i32(int(count))])
    return 0


def trace(tag, key, value):
    """Notes something on a request."""
    if channel is None:
        return _print("trace", tag, key, value)
    channel.send(frames.TRACE, 0, [frames.text(str(tag)), frames.text(str(key)), frames.text(str(value))])
    return 0


def _print(kind, tag, key, value):
    print("%s sid=%s %s=%s" % (kind, tag, key, value), flush=True)
    return 0
