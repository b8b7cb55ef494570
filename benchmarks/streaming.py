"""A streamed chunk: what the gateway adds to an upstream that streams.

Two paces, because batching hides the cost: as fast as the upstream writes, where one read carries many chunks (the
gateway passes the text of one read on as one chunk), and paced, where each chunk is a write, a TCP segment and a turn
of every event loop by itself, as with a real model. Figures are per chunk of the upstream's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.client import Load, TableFailed, exactly, one
from benchmarks.cluster import CHAT_PATH, Cluster, say
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.measure import Sample, Spread, idle_share, in_turn, sample, shares_shown
from benchmarks.mock_upstream import DONE, PIECE
from benchmarks.prompts import chats
from benchmarks.report import Table
from benchmarks.serving import Serving

CHUNKS = 200
APART = 0.95  # of the chunks of a paced stream, at least, reach the client by themselves
PROMPTS = 512
IDLE_S = 8.0  # Ray's periodic work comes every 1-5 s


@dataclass(frozen=True, slots=True)
class _Pace:
    """`streams_per_s`: about how many end in a second, so that a window is as long as was asked for."""

    name: str
    pause_ms: int
    connections: int
    streams_per_s: float


PACES = (
    _Pace("as fast as it goes, 1 stream", 0, 1, 50),
    _Pace("as fast as it goes, 16 streams", 0, 16, 100),
    _Pace("1 chunk each 5 ms, 1 stream", 5, 1, 0.9),
    _Pace("1 chunk each 5 ms, 16 streams", 5, 16, 14),
)
TO_REACH = {pace.name: "≤ 40, aim 25" for pace in PACES if pace.connections > 1}


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table."""
    cluster, upstream = grounds.front()
    idle = idle_share(cluster.pids, IDLE_S)
    found = [(pace, _measure(cluster, upstream, _Round(pace, effort, idle))) for pace in effort.of(PACES, PACES[1::2])]
    return [_table(found, sum(idle.values()))]


@dataclass(frozen=True, slots=True)
class _Round:
    """What to measure, for how long, and what the cluster spends anyway (CPU seconds per second, by process)."""

    pace: _Pace
    effort: Effort
    idle: Mapping[str, float]


def _measure(cluster: Cluster, upstream: Serving, wanted: _Round) -> dict[str, list[Sample]]:
    pace, effort = wanted.pace, wanted.effort
    say(f"streaming, {pace.name}")
    text = f"Say {CHUNKS} chunks, {pace.pause_ms} ms apart."
    bodies = chats(cluster.model, PROMPTS, text, stream=True)
    ours = cluster.chat(bodies, pace.connections, cache_control="no-store")
    alone = Load(upstream.url, CHAT_PATH, bodies, pace.connections)
    for load in (ours, alone):
        _check(one(load), pace)
    streams = max(pace.connections, round(pace.streams_per_s * effort.seconds / pace.connections) * pace.connections)
    return in_turn(
        effort.rounds,
        {
            "ours": lambda: sample(
                lambda: cluster.pids() | {upstream.pid}, lambda: exactly(ours, streams), CHUNKS, wanted.idle
            ),
            "alone": lambda: sample(upstream.pids, lambda: exactly(alone, streams), CHUNKS),
        },
    )


def _check(stream: bytes, pace: _Pace) -> None:
    """Raise unless the text is whole and, where paced, came in pieces."""
    chunks = stream.count(b'"content":"' + PIECE.encode())
    if stream.count(PIECE.encode()) != CHUNKS or not stream.endswith(DONE):
        raise TableFailed(f"a stream has {stream.count(PIECE.encode())} words of {CHUNKS}; it ends in {stream[-60:]!r}")
    if pace.pause_ms and chunks < CHUNKS * APART:
        raise TableFailed(
            f"a paced stream came in {chunks} chunks of {CHUNKS}: the pace is too fast to say what one costs"
        )


def _table(found: list[tuple[_Pace, dict[str, list[Sample]]]], idle: float) -> Table:
    rows = []
    for pace, sides in found:
        ours, alone = sides["ours"], sides["alone"]
        total, upstream = Spread.of(one.total_us for one in ours), Spread.of(one.total_us for one in alone)
        added = Spread.of(through.total_us - direct.total_us for through, direct in zip(ours, alone, strict=True))
        rows.append(
            (
                pace.name,
                added.shown(1),
                TO_REACH.get(pace.name, ""),
                total.shown(1),
                upstream.shown(1),
                f"{total.median / upstream.median:.1f}",
                f"{Spread.of(one.items_per_s for one in ours).median:,.0f}",
                f"{Spread.of(one.items_per_s for one in alone).median:,.0f}",
            )
        )
    columns = ("pace", "added CPU µs", "to reach", "with us, CPU µs", "upstream alone", "ratio",
               "with us, chunks/s", "alone, chunks/s")  # fmt: skip
    about = (
        f"CPU µs per chunk of {CHUNKS}-chunk streams, a share of the request included. With us: every process of the "
        f"cluster and the upstream, less what the cluster spends when nobody asks ({idle:.1%} of a core), which at a "
        "few hundred chunks a second would be most of it. Each answer is read to its `[DONE]`."
    )
    notes = [f"{pace.name}, µs: {shares_shown(sides['ours'], 0.3)}" for pace, sides in found]
    return Table("Streamed chunk", about, columns, rows, notes)
