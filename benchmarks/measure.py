"""Rounds in turn, what each cost, and how far rounds lie apart."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.client import Outcome
from benchmarks.processes import snapshot, spent_s, withheld_s
from cluster.laptop.settings import usable_cpus

T = TypeVar("T")
Pids = Callable[[], Iterable[int]]


WITHHELD = 0.02  # of the cores; a virtual machine beside busy ones loses up to 0.6 for seconds at a time
TRIES = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one side. `cpu_us` per item by name of process, most first."""

    outcome: Outcome
    items: int
    cpu_us: Mapping[str, float]

    @property
    def total_us(self) -> float:
        """CPU µs per item over all processes."""
        return sum(self.cpu_us.values())

    @property
    def items_per_s(self) -> float:
        """Items per second of wall time."""
        return self.items / self.outcome.seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one value."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def shown(self, digits: int, scale: float = 1.0) -> str:
        """Such as `0.131 (0.128-0.140)`; the median alone where there was one round."""
        median, low, high = (f"{value * scale:,.{digits}f}" for value in (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low}–{high})"  # noqa: RUF001  # a range


def sample(
    pids: Pids, act: Callable[[], Outcome], items_each: int = 1, idle: Mapping[str, float] | None = None
) -> Sample:
    """Do `act` and see what the processes spent on it, per item; a request holds `items_each`.

    `idle` (CPU seconds per second, by name) is what they spend anyway, and is taken off.
    """
    before = snapshot(pids())
    outcome = act()
    return per_item(outcome, items_each, spent_s(before, snapshot(pids())), idle or {})


def per_item(outcome: Outcome, items_each: int, spent: Mapping[str, float], idle: Mapping[str, float]) -> Sample:
    """CPU seconds by name, less the idle ones, over the items."""
    items = outcome.requests * items_each
    worked = {name: seconds - idle.get(name, 0.0) * outcome.seconds for name, seconds in spent.items()}
    return Sample(outcome, items, {name: seconds * 1e6 / items for name, seconds in worked.items()})


def idle_share(pids: Pids, seconds: float) -> dict[str, float]:
    """CPU seconds per second that the processes spend while nobody asks anything, by name."""
    before, began = snapshot(pids()), time.perf_counter()
    time.sleep(seconds)
    took_s = time.perf_counter() - began
    return {name: spent / took_s for name, spent in spent_s(before, snapshot(pids())).items()}


def in_turn(
    rounds: int, sides: Mapping[str, Callable[[], T]], withheld_s: Callable[[], float] = withheld_s
) -> dict[str, list[T]]:
    """Each side once a round, A B A B: what else the machine does then falls on all of them.

    A round in which the hypervisor withheld more than WITHHELD of the cores is measured again, TRIES times at most;
    of those the least disturbed counts.
    """
    found: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(rounds):
        tries: list[tuple[float, dict[str, T]]] = []
        while len(tries) < TRIES and (not tries or tries[-1][0] > WITHHELD):
            before, began = withheld_s(), time.perf_counter()
            measured = {name: act() for name, act in sides.items()}
            cores_s = (time.perf_counter() - began) * usable_cpus()
            tries.append(((withheld_s() - before) / cores_s, measured))
        _, best = min(tries, key=lambda one: one[0])
        for name, result in best.items():
            found[name].append(result)
    return found


def shares(samples: Sequence[Sample]) -> dict[str, float]:
    """CPU µs per item by process, mean of the rounds, most first."""
    names = dict.fromkeys(name for sample in samples for name in sample.cpu_us)
    means = {name: statistics.fmean(sample.cpu_us.get(name, 0.0) for sample in samples) for name in names}
    return dict(sorted(means.items(), key=lambda row: -row[1]))


def shares_shown(samples: Sequence[Sample], least_us: float = 0.5) -> str:
    """One line: `replica gateway 62 · HAProxy 56 · rest 4` in µs per item; what is under `least_us` is the rest."""
    means = shares(samples)
    named = [f"{name} {value:,.0f}" for name, value in means.items() if value >= least_us]
    rest = sum(value for value in means.values() if value < least_us)
    return " · ".join([*named, f"rest {rest:.1f}"] if rest >= 0.05 else named)
