import json

from aiges.core.types import DataText, Once
from aiges.dto import Response, ResponseData
from aiges.sdk import WrapperBase


class Wrapper(WrapperBase):
    def wrapperInit(self, config):
        """Loads the model, once for each process; gets what service.yaml says under engine.config."""
        self.word = config.get("word", "hello")
        return 0

    def wrapperOnceExec(self, params, reqData, usrTag="", persId=0):
        """Answers one request. Several are computed at once, each in a thread, when service.yaml says so."""
        name = reqData.get("name").data.decode("utf-8").strip()
        if not name:
            return Response().response_err(100)
        greetings = ["%s, %s" % (self.word, name)] * int(params.get("times", 1))
        data = ResponseData()
        data.key = "greeting"
        data.type = DataText
        data.status = Once
        data.setData(json.dumps(greetings).encode("utf-8"))
        response = Response()
        response.list = [data]
        return response

    def wrapperError(self, ret):
        """The words of this wrapper's own codes."""
        return {100: "the name is empty"}.get(ret, "unknown error")

    def wrapperFini(self):
        return 0
