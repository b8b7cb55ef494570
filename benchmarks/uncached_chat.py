"""An uncached chat answer: what the gateway adds to an upstream that answers at once."""

from benchmarks.client import Load
from benchmarks.cluster import CHAT_PATH, Cluster, say
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.load import for_seconds
from benchmarks.measure import Sample, Spread, in_turn, sample, shares_shown
from benchmarks.prompts import chats
from benchmarks.report import Table
from benchmarks.serving import Serving

CONNECTIONS, QUICK = (1, 16, 64), (1, 16)
PROMPTS = 512  # more than are in flight, so none is coalesced; `no-store` keeps them out of the cache
TO_REACH = {16: "≤ 0.60, aim 0.40"}
TO_REACH_P50 = {1: "≤ 0.80"}


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table."""
    cluster, upstream = grounds.front()
    found = [
        (connections, _measure(cluster, upstream, connections, effort)) for connections in effort.of(CONNECTIONS, QUICK)
    ]
    return [_table(found)]


def _measure(cluster: Cluster, upstream: Serving, connections: int, effort: Effort) -> dict[str, list[Sample]]:
    say(f"uncached chat, {connections} connections")
    bodies = chats(cluster.model, PROMPTS)
    ours = cluster.chat(bodies, connections, cache_control="no-store")
    alone = Load(upstream.url, CHAT_PATH, bodies, connections)
    for load in (ours, alone):
        for_seconds(load, 1)
    return in_turn(
        effort.rounds,
        {
            "ours": lambda: sample(lambda: cluster.pids() | {upstream.pid}, lambda: for_seconds(ours, effort.seconds)),
            "alone": lambda: sample(upstream.pids, lambda: for_seconds(alone, effort.seconds)),
        },
    )


def _table(found: list[tuple[int, dict[str, list[Sample]]]]) -> Table:
    rows = []
    for connections, sides in found:
        ours, alone = sides["ours"], sides["alone"]
        total, upstream = Spread.of(one.total_us for one in ours), Spread.of(one.total_us for one in alone)
        added = Spread.of(through.total_us - direct.total_us for through, direct in zip(ours, alone, strict=True))
        waits = Spread.of(
            through.outcome.p50_ms - direct.outcome.p50_ms for through, direct in zip(ours, alone, strict=True)
        )
        rows.append(
            (
                str(connections),
                added.shown(3, 1e-3),
                TO_REACH.get(connections, ""),
                total.shown(3, 1e-3),
                upstream.shown(3, 1e-3),
                f"{total.median / upstream.median:.1f}",
                waits.shown(2),
                TO_REACH_P50.get(connections, ""),
                f"{Spread.of(one.items_per_s for one in ours).median:,.0f}",
            )
        )
    columns = ("conn.", "added CPU ms", "to reach", "with us, CPU ms", "upstream alone", "ratio",
               "added p50 ms", "to reach", "with us /s")  # fmt: skip
    about = (
        "CPU ms per answer. With us: every process of the cluster and the upstream. The upstream is a uvicorn process "
        "with a fixed answer (benchmarks/mock_upstream.py); requests carry `Cache-Control: no-store`."
    )
    notes = [f"{connections} conn., µs: {shares_shown(sides['ours'])}" for connections, sides in found]
    return Table("Uncached chat answer, instant upstream", about, columns, rows, notes)
