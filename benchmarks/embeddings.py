"""Embeddings through /v1/embeddings, and from the engine alone, in this process.

The engine alone runs at several batch sizes, and the fastest is the baseline: the application cannot see larger batches
than its clients have texts in flight, so no batch size that it saw would make a faster one.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import orjson

from benchmarks.client import Load, Outcome, TableFailed, exactly, one
from benchmarks.cluster import Cluster, house, say
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.measure import Sample, Spread, in_turn, sample
from benchmarks.prompts import sentences
from benchmarks.report import Table
from deployments.args import EmbeddingArgs
from models import catalog
from models.ports import Embedder
from models.settings import ModelSettings
from models.weights import fetch

PATH = "/v1/embeddings"
TEXTS = 2048
REQUESTS_PER_S = {1: 300.0, 64: 8.0}  # about what two cores answer, by texts of a request: sets how long a round takes


@dataclass(frozen=True, slots=True)
class _Case:
    """Clients that each ask for some texts, again and again; batch sizes for the engine alone."""

    clients: int
    texts: int
    batches: tuple[int, ...]
    to_reach: str

    @property
    def name(self) -> str:
        return f"{self.clients} clients × {self.texts}"  # noqa: RUF001  # times


CASES = (_Case(32, 1, (8, 16, 32), "≥ 0.80"), _Case(4, 64, (64, 128, 256), "≥ 0.90"))


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table."""
    from models.engines.openvino_embedder import OpenVinoEmbedder  # noqa: PLC0415  # an engine only this table loads

    application = next(one for one in house()["applications"] if one["route_prefix"] == PATH)
    args = EmbeddingArgs.model_validate(application["args"])
    spec = catalog.load().spec(args.model)
    embedder = OpenVinoEmbedder(fetch(str(spec.weights), ModelSettings()), args.threads)
    cluster = grounds.house()
    return [_table([(case, _measure(cluster, case, embedder, effort)) for case in CASES], args)]


def _measure(cluster: Cluster, case: _Case, embedder: Embedder, effort: Effort) -> dict[str, list[Sample]]:
    say(f"embeddings, {case.name}")
    texts = sentences(TEXTS)
    load = _load(cluster, case, texts)
    _check(one(load), case.texts)
    requests = max(2, round(REQUESTS_PER_S[case.texts] * effort.seconds / case.clients)) * case.clients
    exactly(load, case.clients * 2)
    for batch in case.batches:
        embedder.encode(texts[:batch])  # prepares kernels for new shapes

    sides: dict[str, Callable[[], Sample]] = {
        "ours": lambda: sample(cluster.pids, lambda: exactly(load, requests), case.texts)
    }
    sides |= {str(batch): partial(_alone, embedder, texts, batch, effort.seconds) for batch in case.batches}
    return in_turn(effort.rounds, sides)


def _load(cluster: Cluster, case: _Case, texts: Sequence[str]) -> Load:
    model = next(one["args"]["model"] for one in house()["applications"] if one["route_prefix"] == PATH)
    groups = [texts[at : at + case.texts] for at in range(0, len(texts), case.texts)]
    bodies = [orjson.dumps({"model": model, "input": group, "encoding_format": "base64"}) for group in groups]
    return Load(cluster.url, PATH, bodies, case.clients, {"authorization": f"Bearer {cluster.key}"})


def _check(answer: bytes, texts: int) -> None:
    found = len(orjson.loads(answer)["data"])
    if found != texts:
        raise TableFailed(f"{found} vectors came for {texts} texts")


def _alone(embedder: Embedder, texts: Sequence[str], batch: int, seconds: float) -> Sample:
    """The engine in this process, that many texts a call."""
    return sample(lambda: (os.getpid(),), lambda: _encode(embedder, texts, batch, seconds), batch)


def _encode(embedder: Embedder, texts: Sequence[str], batch: int, seconds: float) -> Outcome:
    """Call after call, each with the next texts."""
    began, calls = perf_counter(), 0
    while (took_s := perf_counter() - began) < seconds or not calls:
        at = calls * batch % len(texts)
        embedder.encode(texts[at : at + batch])
        calls += 1
    return Outcome(calls, took_s, took_s / calls * 1e3, took_s / calls * 1e3)


def _table(found: list[tuple[_Case, dict[str, list[Sample]]]], args: EmbeddingArgs) -> Table:
    rows = []
    for case, sides in found:
        rates = {side: Spread.of(one.items_per_s for one in samples) for side, samples in sides.items()}
        best = max((str(batch) for batch in case.batches), key=lambda batch: rates[batch].median)
        ratios = Spread.of(
            ours.items_per_s / alone.items_per_s for ours, alone in zip(sides["ours"], sides[best], strict=True)
        )
        rows.append(
            (
                case.name,
                rates["ours"].shown(0),
                rates[best].shown(0),
                best,
                ratios.shown(2),
                case.to_reach,
                f"{Spread.of(one.outcome.p50_ms for one in sides['ours']).median:.0f}",
                *(f"{Spread.of(one.total_us for one in sides[side]).median / 1e3:.2f}" for side in ("ours", best)),
            )
        )
    columns = ("load", "ours, texts/s", "engine alone, texts/s", "at batch", "ratio", "to reach",
               "ours p50 ms", "ours, CPU ms/text", "alone, CPU ms/text")  # fmt: skip
    about = (
        f"Sentences of 10 to 20 tokens, {args.model}, {args.threads} threads. Alone: the same engine called in a "
        "process of its own with nothing around it, at the fastest of "
        + " and ".join("/".join(map(str, case.batches)) for case in CASES)
        + " texts a call. Ours has HTTP, keys, JSON and the load generator on the same cores."
    )
    return Table("Embeddings", about, columns, rows)
