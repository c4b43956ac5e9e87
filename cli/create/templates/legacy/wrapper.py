import json

from aiges.dto import Response, ResponseData
from aiges.sdk import IntegerParamField, JsonBodyField, StringBodyField, WrapperBase


class UserRequest:
    name = StringBodyField(key="name", value=b"World")
    times = IntegerParamField(key="times", minimum=1, maximum=10, value=1)


class UserResponse:
    accept1 = JsonBodyField(key="greeting")


class Wrapper(WrapperBase):
    serviceId = "SERVICE_NAME"
    version = "v1"
    requestCls = UserRequest()
    responseCls = UserResponse()

    def wrapperInit(self, config):
        """Loads the model, once for each process."""
        self.word = config.get("word", "hello")
        return 0

    def wrapperOnceExec(self, params, reqData, usrTag="", persId=0):
        """Answers one request."""
        name = reqData.get("name").data.decode("utf-8")
        if not name.strip():
            return Response().response_err(100)
        greetings = ["%s, %s" % (self.word, name)] * int(params.get("times", 1))
        data = ResponseData()
        data.key = "greeting"
        data.setData(json.dumps(greetings).encode("utf-8"))
        response = Response()
        response.list = [data]
        return response

    def wrapperError(self, ret):
        """The words of this wrapper's own codes."""
        return "the name is empty" if ret == 100 else "unknown error"

    def wrapperFini(self):
        return 0


if __name__ == "__main__":
    Wrapper().run()
