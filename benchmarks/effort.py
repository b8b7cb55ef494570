"""How long to measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` of each side, in turn, of `seconds` each. `quick` leaves out what takes minutes."""

    seconds: int
    rounds: int
    quick: bool

    def of(self, cases: Sequence[T], quick: Sequence[T]) -> Sequence[T]:
        """All cases of a table, or the few that a quick look needs."""
        return quick if self.quick else cases
