"""The module that wrappers try first: the same classes and callbacks as in aiges."""

from aiges.callback import callback_metric, callback_trace  # noqa: F401
from aiges.dto import (  # noqa: F401
    DataListCls,
    DataListNode,
    Response,
    ResponseData,
    SessionCreateResponse,
    callback,
)
