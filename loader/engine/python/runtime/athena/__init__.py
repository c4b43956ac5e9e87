"""
The interface between a Python service and Athena Serving; docs/python-wrapper.md shows it.

    import athena

    @athena.service
    def greet(name: str, *, times: int = 1) -> str:
        return ", ".join([name] * times)
"""

from athena._context import Context, context, contexts
from athena._declare import batch, service
from athena._errors import Cancelled, Error, InvalidInput
from athena._parts import Audio, Image, Other, Part, Tensor, Text, Video

__all__ = [
    "Audio",
    "Cancelled",
    "Context",
    "Error",
    "Image",
    "InvalidInput",
    "Other",
    "Part",
    "Tensor",
    "Text",
    "Video",
    "batch",
    "context",
    "contexts",
    "service",
]
