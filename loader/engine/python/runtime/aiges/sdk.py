"""The base class of wrappers, with the fields that they declare their requests and answers with."""

from aiges import local
from aiges.dto import (  # noqa: F401
    DataListCls,
    DataListNode,
    Response,
    ResponseData,
    SessionCreateResponse,
)
from aiges.fields import (  # noqa: F401
    AudioBodyField,
    BooleanParamField,
    Field,
    ImageBodyField,
    IntegerParamField,
    JsonBodyField,
    NumberParamField,
    ParamField,
    PayloadField,
    StringBodyField,
    StringParamField,
    VideoBodyField,
)
from aiges.schema import schema_of
from aiges.stream import SessionManager


class WrapperBase:
    """What a wrapper inherits: every method of its life, each doing nothing, and those that try it out without a loader."""

    serviceId = ""
    version = ""
    call = "atmos"
    sub = "ase"
    call_type = "0"
    webgate_type = "0"
    hosts = ""
    route = ""
    requestCls = None
    responseCls = None
    config = {}

    def __init__(self, *_args, **_kwargs):
        pass

    @property
    def session(self):
        """The handles and threads of stream sessions, made on first use."""
        if "_session" not in self.__dict__:
            self.__dict__["_session"] = SessionManager()
        return self.__dict__["_session"]

    def wrapperInit(self, config):
        return 0

    def wrapperFini(self):
        return 0

    def wrapperError(self, ret):
        return "wrapper error %s" % ret

    def wrapperOnceExec(self, params, reqData, usrTag="", persId=0):
        raise NotImplementedError("wrapperOnceExec")

    def wrapperOnceExecAsync(self, params, reqData, sid, persId=0):
        raise NotImplementedError("wrapperOnceExecAsync")

    def wrapperCreate(self, params, sid, persId=0, usrTag=""):
        raise NotImplementedError("wrapperCreate")

    def wrapperWrite(self, handle, req, sid=""):
        raise NotImplementedError("wrapperWrite")

    def wrapperRead(self, handle):
        raise NotImplementedError("wrapperRead")

    def wrapperDestroy(self, handle):
        return 0

    def wrapperLoadRes(self, reqData, resId):
        return 0

    def wrapperUnloadRes(self, resId):
        return 0

    def wrapperTestFunc(self, data, respData):
        return 0

    def schema(self):
        """The service's definition as JSON text, in the form of the predecessor."""
        return schema_of(self)

    def run(self, stream=False):
        """
        Answers one request made of the fields' test values, and prints the answer. Raises ValueError when that is not what
        the response class declares.
        """
        return local.run_stream(self) if stream else local.run(self)

    def run_stream(self):
        """Like `run`, for one session of one chunk; gives its results."""
        return local.run_stream(self)

    def check_resp(self, resp):
        """Whether a response is what the response class declares; prints what is wrong."""
        return local.is_as_declared(self, resp)

    def gradio(self):
        raise NotImplementedError("gradio: a loader and a gateway show the service in a browser")
