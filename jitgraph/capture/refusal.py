"""How a loop or a branch tells that it is no part of a graph."""


class RefusedError(Exception):
    """A loop or a branch that is no part of a graph.

    key: where it is; reason: for those who look.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key, self.reason = key, reason
