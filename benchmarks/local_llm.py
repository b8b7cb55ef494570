"""Chat on a real local model: through the whole stack, and from the HTTP server that xllamacpp itself ships.

Both have the same weights, threads, parallel slots and context on the same cores, and get the same prompts. Each client
asks again as soon as it is answered; tokens are those that the servers count in `usage`.
"""

import re
from dataclasses import dataclass

from benchmarks.client import Load, Outcome, TableFailed, exactly
from benchmarks.cluster import CHAT_PATH, Cluster, house, say
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.measure import Sample, Spread, in_turn, sample
from benchmarks.prompts import chats
from benchmarks.report import Table
from benchmarks.serving import Serving, serving
from deployments.args import LlmArgs

TOKENS = 64
TOKENS_PER_S = {1: 60.0, 8: 150.0}  # about what two cores answer, by clients: sets how long a round takes
COUNTED = re.compile(rb'"completion_tokens":\s*(\d+)')


@dataclass(frozen=True, slots=True)
class _Case:
    clients: int
    stream: bool

    @property
    def name(self) -> str:
        return f"{self.clients} client{'s' if self.clients > 1 else ''}, {'streamed' if self.stream else 'whole'}"


CASES = tuple(_Case(clients, stream) for clients in (1, 8) for stream in (False, True))


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """The table."""
    application = next(one for one in house()["applications"] if one["import_path"] == "deployments.app:llm")
    args = LlmArgs.model_validate(application["args"])
    cluster = grounds.house()
    with serving("llama_server", [args.model_dump_json()], health_path="/health") as theirs:
        return [
            _table(
                [(case, _measure(cluster, theirs, case, effort)) for case in effort.of(CASES, (CASES[0], CASES[3]))],
                args,
            )
        ]


def _measure(cluster: Cluster, theirs: Serving, case: _Case, effort: Effort) -> dict[str, list[Sample]]:
    say(f"local LLM, {case.name}")
    share = TOKENS_PER_S[case.clients] / TOKENS * effort.seconds
    requests = max(1, round(share / case.clients)) * case.clients
    fields: dict[str, object] = {"max_tokens": TOKENS, "temperature": 0, "stream": case.stream}
    if case.stream:
        fields["stream_options"] = {"include_usage": True}
    bodies = chats(cluster.model, requests, "Tell me a long story about a school", **fields)
    ours = cluster.chat(bodies, case.clients, cache_control="no-store")
    alone = Load(theirs.url, CHAT_PATH, bodies, case.clients)
    for load in (ours, alone):
        exactly(load, case.clients)
    return in_turn(
        effort.rounds,
        {
            "ours": lambda: sample(cluster.pids, lambda: _tokens(ours, requests)),
            "theirs": lambda: sample(theirs.pids, lambda: _tokens(alone, requests)),
        },
    )


def _tokens(load: Load, requests: int) -> Outcome:
    """The load, its answers counted in tokens."""
    counts: list[int] = []

    def take(body: bytes) -> None:
        found = COUNTED.findall(body)
        if not found:
            raise TableFailed(f"an answer of {load.url} names no completion_tokens: {body[-300:]!r}")
        counts.append(int(found[-1]))

    outcome = exactly(load, requests, take)
    return Outcome(sum(counts), outcome.seconds, outcome.p50_ms, outcome.p99_ms)


def _table(found: list[tuple[_Case, dict[str, list[Sample]]]], args: LlmArgs) -> Table:
    rows = []
    for case, sides in found:
        ours, theirs = sides["ours"], sides["theirs"]
        ratios = Spread.of(mine.items_per_s / other.items_per_s for mine, other in zip(ours, theirs, strict=True))
        rows.append(
            (
                case.name,
                Spread.of(one.items_per_s for one in ours).shown(1),
                Spread.of(one.items_per_s for one in theirs).shown(1),
                ratios.shown(2),
                "≥ 0.95",
                f"{Spread.of(one.total_us for one in ours).median / 1e3:.1f}",
                f"{Spread.of(one.total_us for one in theirs).median / 1e3:.1f}",
                f"{ours[0].items:,}",
            )
        )
    columns = ("load", "ours, tokens/s", "xllamacpp's server", "ratio", "to reach",
               "ours, CPU ms/token", "theirs", "tokens a round")  # fmt: skip
    about = (
        f"{args.model}, {args.threads} threads, {args.parallel} requests decoded together, {TOKENS} tokens an answer, "
        "temperature 0, prompts all different, nothing cached. Ours: HAProxy, gateway, HAProxy, the application."
    )
    return Table("Chat on a local model", about, columns, rows)
