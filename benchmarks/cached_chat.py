"""A cached chat answer with a key: through the whole cluster, and from one bare uvicorn process doing the same work.

LRU: 16 prompts asked in turn, all in the replica's memory. Redis: 2,000 prompts asked in turn by a replica that
remembers 60, so each request is one GET. Valkey's own counters say that it was so.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Load, TableFailed, exactly, one
from benchmarks.cluster import CHAT_PATH, Cluster, say
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.load import for_seconds
from benchmarks.measure import Sample, Spread, in_turn, sample, shares
from benchmarks.prompts import chats
from benchmarks.report import Table
from benchmarks.serving import Serving, serving

CONNECTIONS, QUICK = (1, 16, 64), (16,)
LRU_PROMPTS, REDIS_PROMPTS = 16, 2000
TO_REACH = {("LRU", 16): "≤ 0.18, aim 0.13", ("Redis", 16): "≤ 0.30"}
LEAST_US = 0.1  # a process that spent less is not worth a line
STRAY = 0.01  # of the requests may go the other way: an entry leaves the LRU after a minute


@dataclass(frozen=True, slots=True)
class _Kind:
    """LRU or Redis: the requests, and the bare server that answers them."""

    name: str
    bodies: list[bytes]
    bare: Serving


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table, and who spent it."""
    cluster, _ = grounds.front()
    answer = one(cluster.chat(chats(cluster.model, 1), 1))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder, "answer")
        file.write_bytes(answer)
        secrets = {"BENCH_KEY": cluster.key, "BENCH_REDIS_URL": cluster.redis_url}
        with (
            serving("bare_server", ["dict", str(file)], secrets) as dict_server,
            serving("bare_server", ["redis", str(file)], secrets) as redis_server,
        ):
            kinds = (
                _Kind("LRU", chats(cluster.model, LRU_PROMPTS), dict_server),
                _Kind("Redis", chats(cluster.model, REDIS_PROMPTS), redis_server),
            )
            found = [(kind, connections, _measure(cluster, kind, connections, effort))
                     for kind in kinds for connections in effort.of(CONNECTIONS, QUICK)]  # fmt: skip
    return [_table(found, len(answer)), _shares(found)]


Found = list[tuple[_Kind, int, dict[str, list[Sample]]]]


def _measure(cluster: Cluster, kind: _Kind, connections: int, effort: Effort) -> dict[str, list[Sample]]:
    say(f"cached chat, {kind.name}, {connections} connections")
    ours = cluster.chat(kind.bodies, connections)
    bare = Load(kind.bare.url, CHAT_PATH, kind.bodies, connections, ours.headers)
    for load in (ours, bare):
        exactly(load, len(kind.bodies))  # puts what is missing where it belongs
        for_seconds(load, 1)
    valkey = tuple(pid for pid in cluster.pids() if _is_valkey(pid)) if kind.name == "Redis" else ()

    def measured() -> Sample:
        hits, misses = _gets(cluster)
        found = sample(cluster.pids, lambda: for_seconds(ours, effort.seconds))
        hits_now, misses_now = _gets(cluster)
        _check(kind.name, (hits_now - hits) / found.items, (misses_now - misses) / found.items)
        return found

    return in_turn(
        effort.rounds,
        {
            "ours": measured,
            "bare": lambda: sample(lambda: (kind.bare.pid, *valkey), lambda: for_seconds(bare, effort.seconds)),
        },
    )


def _check(kind: str, hits: float, misses: float) -> None:
    """Raise unless the answers came from where the kind says. Shares of them that Redis had, and that it had not."""
    if misses > STRAY or ((hits > STRAY) if kind == "LRU" else (hits < 1 - STRAY)):
        raise TableFailed(
            f"Redis had {hits:.1%} of the answers and lacked {misses:.1%}; this table is about {kind} hits"
        )


def _gets(cluster: Cluster) -> tuple[int, int]:
    """How many keys Valkey has found for anyone so far, and how many it has not."""
    from redis import Redis  # noqa: PLC0415  # a third of a second

    with Redis.from_url(cluster.redis_url) as store:
        counts = store.info("stats")
        return int(counts["keyspace_hits"]), int(counts["keyspace_misses"])


def _is_valkey(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith("valkey")


def _table(found: Found, answer_bytes: int) -> Table:
    rows = []
    for kind, connections, sides in found:
        ours, bare = (Spread.of(one.total_us for one in sides[side]) for side in ("ours", "bare"))
        rows.append(
            (
                kind.name,
                str(connections),
                ours.shown(3, 1e-3),
                TO_REACH.get((kind.name, connections), ""),
                bare.shown(3, 1e-3),
                f"{ours.median / bare.median:.1f}",
                *(f"{Spread.of(one.outcome.p50_ms for one in sides[side]).median:.2f}" for side in ("ours", "bare")),
                *(f"{Spread.of(one.items_per_s for one in sides[side]).median:,.0f}" for side in ("ours", "bare")),
            )
        )
    columns = ("hit in", "conn.", "ours, CPU ms", "to reach", "bare, CPU ms", "ratio",
               "ours p50 ms", "bare p50 ms", "ours /s", "bare /s")  # fmt: skip
    about = (
        "CPU ms per answer over all processes. Bare: one uvicorn process (uvloop, httptools) that looks the key up by "
        f"its hash, parses and hashes the body, and sends the same {answer_bytes} bytes, from a dict or a Redis GET."
    )
    return Table("Cached chat answer", about, columns, rows)


def _shares(found: Found) -> Table:
    means = [shares(sides["ours"]) for _, _, sides in found]
    names = sorted(
        {name for mean in means for name in mean}, key=lambda name: -max(mean.get(name, 0) for mean in means)
    )
    seen = [name for name in names if max(mean.get(name, 0.0) for mean in means) >= LEAST_US]
    rows = [(name, *(f"{mean.get(name, 0.0):.1f}" for mean in means)) for name in seen]
    columns = ("process", *(f"{kind.name}, {connections}" for kind, connections, _ in found))
    return Table("Who spends it", "CPU µs per answer of ours, mean of the rounds, by connections.", columns, rows)
