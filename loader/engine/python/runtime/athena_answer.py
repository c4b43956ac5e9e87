"""
How a function of the module athena answers calls.

All of it is written once, as coroutines. Those of a function that is not asynchronous wait for nothing: they block, so that
one step takes them to their end, on a thread of their own.
"""

import functools
import inspect

import athena_call
from athena._context import _current
from athena._errors import Cancelled
from athena_call import WrapperFailed


def run_here(coroutine):
    """Runs a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a coroutine waits outside of an event loop")


async def answer_async(method, call):
    """Answers a once-call of an asynchronous function."""
    try:
        call.answer(await answer(method, call))
    except BaseException as error:  # one request fails, the process goes on
        call.fail(error)


async def answer(method, call):
    """The parts that answer a once-call."""
    signature, request = method.signature, call.request
    keywords = signature.parameter_values(request.parameters)
    arguments = signature.input_values(request.parts, _one_async if signature.is_async else _one)
    value = method.function(*arguments, **keywords)
    if not signature.is_iterated:
        return signature.parts_of(await value if signature.is_async else value)
    joined = {output.name: [output.codec.kind, None, []] for output in signature.outputs}

    def take(item):
        for name, _, attributes, data in signature.parts_of(item):
            whole = joined[name]
            whole[1] = attributes if whole[1] is None else whole[1]
            whole[2].append(data)

    await each(value, call, take)
    return [(name, kind, attributes or {}, b"".join(data)) for name, (kind, attributes, data) in joined.items()]


def _one(stream_input, parts):
    return iter((stream_input.value(parts),))


def _one_async(stream_input, parts):
    value = stream_input.value(parts)

    async def items():
        yield value

    return items()


async def each(value, call, take, room=None):
    """
    Gives `take` each item of what a function returned, when `room` has let it; closes it when nobody waits for them any more.
    """
    if inspect.iscoroutine(value):
        value = await value
    try:
        if hasattr(value, "__aiter__"):
            async for item in value:
                if room is not None:
                    await room()
                _assert_wanted(call)
                take(item)
        else:
            for item in value:
                if room is not None:
                    await room()
                _assert_wanted(call)
                take(item)
    finally:
        if hasattr(value, "aclose"):
            await value.aclose()
        elif hasattr(value, "close"):
            value.close()


def _assert_wanted(call):
    if call.is_cancelled:
        raise Cancelled("nobody waits for more")


async def answer_group(method, calls, cancel=None):
    """
    Answers once-calls that are computed together. Those with other parameters are computed apart, since the function
    gets each parameter once. `cancel` stops what is computed, when nobody waits for any of it.
    """
    groups = []
    for call in calls:
        if call.is_cancelled:
            call.done()
            continue
        try:
            keywords = method.signature.parameter_values(call.request.parameters)
            arguments = method.signature.input_values(call.request.parts)
        except BaseException as error:  # one request fails, the others go on
            call.fail(error)
            continue
        # Until its turn comes, which may be after others of the group.
        call.on_cancel(call.done)
        for others, group in groups:
            if others == keywords:
                group.append((call, arguments))
                break
        else:
            groups.append((keywords, [(call, arguments)]))
    for keywords, group in groups:
        await _answer_batch(method, keywords, group, cancel)


async def _answer_batch(method, keywords, group, cancel):
    wanted = []
    for one in group:
        if one[0].is_cancelled:
            one[0].done()
        else:
            wanted.append(one)
    if not wanted:
        return
    calls = [call for call, _ in wanted]
    for call in calls:
        call.on_cancel(functools.partial(_leave, call, calls, cancel))
    columns = [list(column) for column in zip(*(arguments for _, arguments in wanted))]
    try:
        if method.signature.is_async:
            _current.set(tuple(call.context for call in calls))
            values = await method.function(*columns, **keywords)
        else:
            values = athena_call.run(calls, functools.partial(method.function, **keywords), *columns)
        if len(values) != len(calls):
            message = "%s returned %d values for %d requests" % (method.signature.name, len(values), len(calls))
            raise WrapperFailed(message)
    except BaseException as error:  # sys.exit too
        if len(calls) == 1:
            calls[0].fail(error)
            return
        # One bad request fails alone, the others are answered.
        for one in wanted:
            await _answer_batch(method, keywords, [one], cancel)
        return
    for call, value in zip(calls, values):
        try:
            if isinstance(value, BaseException):
                raise value
            call.answer(method.signature.parts_of(value))
        except BaseException as error:  # one request fails
            call.fail(error)


def _leave(call, calls, cancel):
    """A call that nobody waits for ends at once, unless it is the last: then what is computed for all of them has to."""
    if not all(other.is_cancelled for other in calls):
        call.done()
    elif cancel is not None:
        cancel()
