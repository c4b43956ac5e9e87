"""The callback under the name and with the arguments of the predecessor's RPC mode."""

import athena_notes

from aiges.dto import callback as _callback


def callback(response, handle=None, sid=None):
    """`handle` is the tag that wrapperCreate was given; `sid` stands in where only that is at hand."""
    return _callback(response, handle if handle else sid)


def callback_metric(usr_tag, key, count):
    """Counts for the operator: a log line, and a counter by its key."""
    return athena_notes.meter(usr_tag, key, count)


def callback_trace(usr_tag, key, value):
    """A note on a request's trace: a log line."""
    return athena_notes.trace(usr_tag, key, value)
