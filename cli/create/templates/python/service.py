import athena


@athena.service
class Greeter:
    """Greets people."""

    def __init__(self, config: dict):
        """Loads the model, once for each process."""
        self.word = config.get("word", "hello")

    def infer(self, name: str, *, times: int = 1) -> str:
        """Answers one request: `name` is its input, `times` a parameter, and what it returns the output `result`."""
        if not name.strip():
            raise athena.InvalidInput("payload.name: the name is empty")
        return ", ".join([self.word] * times + [name])
