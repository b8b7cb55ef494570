"""Embeddings through /v1/embeddings, and from the engine alone, in this process, at the batch size that ours came to.

That size is the mean over a run before the rounds, from the application's own counts on /metrics.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from urllib.request import Request, urlopen

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
    """Clients that each ask for some texts, again and again."""

    clients: int
    texts: int
    to_reach: str

    @property
    def name(self) -> str:
        return f"{self.clients} clients × {self.texts}"  # noqa: RUF001  # times


CASES = (_Case(32, 1, "≥ 0.80"), _Case(4, 64, "≥ 0.90"))
COUNTED = re.compile(r"^ray_becoming_one_embedding_(batches|texts)_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)
COUNTS_TIMEOUT_S = 60.0  # Ray's agents report every 10 s


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table."""
    from models.engines.openvino_embedder import OpenVinoEmbedder  # noqa: PLC0415  # an engine only this table loads

    application = next(one for one in house()["applications"] if one["route_prefix"] == PATH)
    args = EmbeddingArgs.model_validate(application["args"])
    spec = catalog.load().spec(args.model)
    embedder = OpenVinoEmbedder(fetch(str(spec.weights), ModelSettings()), args.threads)
    cluster = grounds.house()
    return [_table([_measure(cluster, case, embedder, effort) for case in CASES], args)]


@dataclass(frozen=True, slots=True)
class _Found:
    """A case's rounds of both sides, and the batch size of the engine alone."""

    case: _Case
    batch: int
    sides: dict[str, list[Sample]]


def _measure(cluster: Cluster, case: _Case, embedder: Embedder, effort: Effort) -> _Found:
    say(f"embeddings, {case.name}")
    texts = sentences(TEXTS)
    load = _load(cluster, case, texts)
    _check(one(load), case.texts)
    requests = max(2, round(REQUESTS_PER_S[case.texts] * effort.seconds / case.clients)) * case.clients
    batch = _batch_seen(cluster, load, requests, case.texts)
    embedder.encode(texts[:batch])  # prepares kernels for new shapes
    return _Found(case, batch, in_turn(effort.rounds, {
        "ours": lambda: sample(cluster.pids, lambda: exactly(load, requests), case.texts),
        "alone": lambda: _alone(embedder, texts, batch, effort.seconds),
    }))  # fmt: skip


def _batch_seen(cluster: Cluster, load: Load, requests: int, texts: int) -> int:
    """Texts a call of the engine, mean over that many requests."""
    before = _counts(cluster)
    exactly(load, requests)
    wanted, deadline = before["texts"] + requests * texts, perf_counter() + COUNTS_TIMEOUT_S
    while (now := _counts(cluster))["texts"] < wanted:
        if perf_counter() > deadline:
            raise TableFailed(f"/metrics counts {now['texts']:.0f} texts, and {wanted:.0f} were sent")
        sleep(1)
    return round((now["texts"] - before["texts"]) / (now["batches"] - before["batches"]))


def _counts(cluster: Cluster) -> dict[str, float]:
    """Texts embedded so far, and calls of the engine."""
    asked = Request(cluster.url + "/metrics", headers={"authorization": f"Bearer {cluster.key}"})  # noqa: S310  # our own
    with urlopen(asked, timeout=COUNTS_TIMEOUT_S) as answer:  # noqa: S310
        page = answer.read().decode()
    return {"texts": 0.0, "batches": 0.0} | {name: float(value) for name, value in COUNTED.findall(page)}


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


def _table(found: list[_Found], args: EmbeddingArgs) -> Table:
    rows = []
    for one_case in found:
        case, ours, alone = one_case.case, one_case.sides["ours"], one_case.sides["alone"]
        ratios = Spread.of(mine.items_per_s / its.items_per_s for mine, its in zip(ours, alone, strict=True))
        rows.append(
            (
                case.name,
                Spread.of(one.items_per_s for one in ours).shown(0),
                Spread.of(one.items_per_s for one in alone).shown(0),
                str(one_case.batch),
                ratios.shown(2),
                case.to_reach,
                f"{Spread.of(one.outcome.p50_ms for one in ours).median:.0f}",
                *(f"{Spread.of(one.total_us for one in side).median / 1e3:.2f}" for side in (ours, alone)),
            )
        )
    columns = ("load", "ours, texts/s", "engine alone, texts/s", "texts a call", "ratio", "to reach",
               "ours p50 ms", "ours, CPU ms/text", "alone, CPU ms/text")  # fmt: skip
    about = (
        f"Sentences of 10 to 20 tokens, {args.model}, {args.threads} threads. Alone: the same engine called in a "
        "process of its own with nothing around it, with as many texts a call as ours had in the mean. Ours has HTTP, "
        "keys, JSON and the load generator on the same cores."
    )
    return Table("Embeddings", about, columns, rows)
