"""The decorators: they note what they are told, and change nothing."""


class Service:
    """What `athena.service` was told; None where it was told nothing."""

    def __init__(self, id=None, version=None, description=None, once=None):
        self.id = id
        self.version = version
        self.description = description
        self.once = once


class Batch:
    """What `athena.batch` was told."""

    def __init__(self, max_rows, max_delay_ms):
        if max_rows < 1 or (max_delay_ms is not None and max_delay_ms < 0):
            raise ValueError("athena.batch: max_rows must be at least 1, max_delay_ms at least 0")
        self.max_rows = max_rows
        self.max_delay_ms = None if max_delay_ms is None else int(max_delay_ms)


def service(target=None, *, id=None, version=None, description=None, once=None):
    """
    Makes a class or a function a service. A class has `infer`, or `stream`, or both; it may take its configuration and
    may have `close`. `once=False` keeps what yields results from being called once as well.
    """

    def mark(marked):
        marked.__athena_service__ = Service(id, version, description, once)
        return marked

    return mark if target is None else mark(target)


def batch(*, max_rows, max_delay_ms=None):
    """
    Lets a function compute up to `max_rows` requests at once: it gets a list for each input and returns a list, in which
    an exception stands for the answer of a request that failed. While others are expected, a request waits for them, at
    most `max_delay_ms`.
    """

    def mark(function):
        function.__athena_batch__ = Batch(max_rows, max_delay_ms)
        return function

    return mark


def service_of(target):
    """What a class or function was decorated with itself; None for anything else, a subclass of a service included."""
    return getattr(target, "__dict__", {}).get("__athena_service__") if callable(target) else None
