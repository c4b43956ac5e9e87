"""Finds the user's code in its file, and what runs it."""

import importlib.util
import os
import sys

from athena._declare import service_of
from athena_call import WrapperFailed

# What a class of the predecessor has when it does not inherit from its SDK's.
_METHODS = ("wrapperInit", "wrapperOnceExec", "wrapperCreate")


def load(path, name, channel):
    """What runs the service in a file: that of the name, or else what is decorated in it, or else its class Wrapper."""
    module = _import(path)
    target = _find(module, name, os.path.basename(path))
    # One of the two is needed: the other is not read.
    if service_of(target) is not None:
        import athena_service

        return athena_service.Runner(target, channel)
    if any(hasattr(target, method) for method in _METHODS):
        import athena_wrapper

        return athena_wrapper.Runner(_with_base(target)())
    raise WrapperFailed("%s is neither decorated with athena.service nor a wrapper of the predecessor" % target.__name__)


def _with_base(target):
    """The class with what it would have inherited, where it does not inherit from the SDK's class."""
    from aiges.sdk import WrapperBase

    if not isinstance(target, type) or issubclass(target, WrapperBase):
        return target
    return type(target.__name__, (target, WrapperBase), {"__module__": target.__module__, "__doc__": target.__doc__})


def _import(path):
    folder, file = os.path.split(os.path.abspath(path))
    if not os.path.isfile(path):
        raise WrapperFailed("%s is not there" % file)
    sys.path.insert(0, folder)
    os.chdir(folder)
    stem = os.path.splitext(file)[0]
    # A file may have the name of a module that is loaded already.
    name = stem if stem not in sys.modules else "_" + stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find(module, name, file):
    if name:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
        raise WrapperFailed("%s has no class %s" % (file, name))
    found = {id(value): value for value in vars(module).values() if service_of(value) is not None}
    if len(found) > 1:
        names = ", ".join(sorted(value.__name__ for value in found.values()))
        raise WrapperFailed("%s has more than one service: the engine's key class says which of %s" % (file, names))
    if found:
        return next(iter(found.values()))
    if callable(getattr(module, "Wrapper", None)):
        return module.Wrapper
    raise WrapperFailed("%s has no class Wrapper, and nothing that is decorated with athena.service" % file)
