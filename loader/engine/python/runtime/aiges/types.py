"""The same names as aiges.core.types, for wrappers that import them from here."""

from aiges.core.types import *  # noqa: F401,F403
