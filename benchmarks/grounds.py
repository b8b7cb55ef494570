"""What tables run on, made when first asked for, one at a time: two clusters would share the cores."""

from contextlib import ExitStack

from benchmarks.cluster import Cluster, front, house, running
from benchmarks.serving import Serving, serving


class Grounds:
    """The gateway before an upstream of ours, or the whole house. Whoever makes one calls `clear` at the end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._front: tuple[Cluster, Serving] | None = None
        self._house: Cluster | None = None

    def front(self) -> tuple[Cluster, Serving]:
        """The gateway alone, and the mock upstream behind it."""
        if self._front is None:
            self.clear()
            upstream = self._stack.enter_context(serving("mock_upstream"))
            self._front = self._stack.enter_context(running(front(upstream.url))), upstream
        return self._front

    def house(self) -> Cluster:
        """Everything that serve_config.yaml says, with real models."""
        if self._house is None:
            self.clear()
            self._house = self._stack.enter_context(running(house()))
        return self._house

    def clear(self) -> None:
        """Take down what runs."""
        self._front = self._house = None
        self._stack.close()
