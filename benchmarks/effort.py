"""How long to measure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` of each side, in turn, of `seconds` each. `quick` leaves out what takes minutes."""

    seconds: int
    rounds: int
    quick: bool
