"""What goes into a wrapper and what comes out of it."""

from aiges.results import results


class DataListNode:
    """One input: its name, its bytes, its type and its place in the stream."""

    def __init__(self, key="", data=b"", len=None, type=0, status=3, desc=None):
        self.key = key
        self.data = data
        self.len = _length(data) if len is None else len
        self.type = type
        self.status = status
        self.desc = {} if desc is None else desc

    def get_data(self):
        return self.data


class DataListCls:
    """The inputs of one request or of one chunk."""

    def __init__(self, nodes=None):
        self.list = [] if nodes is None else nodes

    def get(self, key):
        """The input of this name; None where there is none."""
        for node in self.list:
            if node.key == key:
                return node
        return None


class ResponseData:
    """One output. Wrappers fill it through its methods or by assigning; both are right."""

    def __init__(self, key="", data=b"", length=None, type=0, status=3, desc=None):
        self.key = key
        self.type = type
        self.status = status
        self.desc = {} if desc is None else desc
        self.data = data
        self.len = _length(data) if length is None else length

    def setData(self, data):
        self.data = data
        self.len = _length(data)

    def setDataType(self, type):
        self.type = type

    def setStatus(self, status):
        self.status = status

    def setKey(self, key):
        self.key = key

    @property
    def length(self):
        return self.len


class Response:
    """A list of outputs, or the wrapper's own error code."""

    def __init__(self, list=None, error_code=0):
        self.list = [] if list is None else list
        self.error_code = error_code

    def response_err(self, code):
        self.error_code = code
        return self


class SessionCreateResponse:
    """The handle of a new session, or the wrapper's own error code."""

    def __init__(self, handle="", error_code=0):
        self.handle = handle
        self.error_code = error_code


def _length(data):
    return 0 if data is None else len(data)


def callback(response, sid):
    """Delivers a result of a session, or of an asynchronous request, from any thread."""

    return results.deliver(response, sid)
