"""What user code raises, and what is raised into it."""


class Error(Exception):
    """The service's own error: its code and its words reach the caller."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = int(code)


class InvalidInput(Exception):
    """The request cannot be computed as it is: the caller is told, as its own mistake."""


class Cancelled(BaseException):
    """Nobody waits for the answer any more. Not an Exception, so that code which tries again does not go on."""
