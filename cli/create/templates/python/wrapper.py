import athena


@athena.service
class Greeter:
    """Greets people."""

    def __init__(self):
        """Loads the model, once for each process."""
        self.word = "hello"

    def infer(self, name: str, *, times: int = 1) -> str:
        """Answers one request: `name` is its input, `times` a parameter."""
        return ", ".join(["%s %s" % (self.word, name)] * times)
