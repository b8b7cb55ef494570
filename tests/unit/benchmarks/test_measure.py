import pytest

from benchmarks.client import Outcome
from benchmarks.measure import TRIES, Sample, Spread, in_turn, per_item, shares, shares_shown


def _sample(**cpu_us: float) -> Sample:
    return Sample(Outcome(10, 2.0, 1.0, 2.0), 10, cpu_us)


def test_rounds_are_interleaved() -> None:
    order: list[str] = []

    def side(name):
        def act() -> int:
            order.append(name)
            return len(order)

        return act

    assert in_turn(2, {"a": side("a"), "b": side("b")}, lambda: 0.0) == {"a": [1, 3], "b": [2, 4]}
    assert order == ["a", "b", "a", "b"]


def test_a_round_from_which_the_hypervisor_took_time_is_measured_again() -> None:
    taken_s = iter([0.0, 1e6, 1e6, 1e6])
    counted = iter(range(10))
    assert in_turn(1, {"a": lambda: next(counted)}, lambda: next(taken_s)) == {"a": [1]}


def test_on_a_machine_that_is_never_left_alone_the_least_disturbed_round_counts() -> None:
    clock, counted = [0.0], iter(range(10))

    def withheld_s() -> float:
        clock[0] += next(steps)
        return clock[0]

    steps = iter([0.0, 9e9, 0.0, 1.0, 0.0, 9e9, 0.0, 9e9])
    assert in_turn(1, {"a": lambda: next(counted)}, withheld_s) == {"a": [1]}
    assert next(counted) == TRIES


def test_a_spread_shows_its_rounds_and_one_round_shows_itself() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).shown(1) == "2.0 (1.0–3.0)"  # noqa: RUF001
    assert Spread.of([1500.0]).shown(2, 1e-3) == "1.50"


def test_cpu_time_is_divided_by_items_and_idle_time_taken_off() -> None:
    outcome = Outcome(100, 2.0, 1.0, 1.0)
    found = per_item(outcome, 10, {"HAProxy": 0.5, "replica": 1.0}, {"HAProxy": 0.05})
    assert found.items == 1000
    assert found.cpu_us == {"HAProxy": pytest.approx(400.0), "replica": 1000.0}
    assert found.total_us == pytest.approx(1400.0)
    assert found.items_per_s == 500


def test_shares_are_means_most_first_and_small_ones_together() -> None:
    samples = [_sample(replica=60.0, HAProxy=20.0, tiny=0.2), _sample(replica=62.0, HAProxy=22.0)]
    assert shares(samples) == {"replica": 61.0, "HAProxy": 21.0, "tiny": 0.1}
    assert shares_shown(samples) == "replica 61 · HAProxy 21 · rest 0.1"
