"""Which model answers a request, and why. Pure: no clock, no network, no randomness.

Hard filters drop specs (each with its reason), then role preference orders what is kept. Health, cost and latency join
as further arguments when there is something to measure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.catalog import Capability, Catalog, Spec
from models.errors import UnknownModel
from models.values import DataClass, GenerateRequest, Image, Role, ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class Candidate:
    """A spec that may answer, and why it stands where it stands."""

    spec: Spec
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Candidates in the order they are to be tried; every other spec that was considered, with why it was dropped."""

    candidates: tuple[Candidate, ...]
    dropped: tuple[tuple[str, str], ...]
    unfit: bool = False  # none is left, and each was dropped for what the request asks: waiting does not help

    @property
    def summary(self) -> str:
        """One line for the header x-plan: the first choice and why, and how many stand behind it."""
        if not self.candidates:
            return "none"
        first = self.candidates[0]
        behind = len(self.candidates) - 1
        return f"{first.spec.id}: {first.reason}" + (f", {behind} more" if behind else "")


def plan(request: GenerateRequest, catalog: Catalog, unavailable: Mapping[str, str]) -> Plan:
    """Candidates for a request. `unavailable` maps spec ids to why they cannot be asked now.

    `request.model` is a role (all specs of it, in the catalog's order) or one spec's id. Raises UnknownModel when it is
    neither. A plan without candidates is a legal answer; the reasons say what to change.
    """
    role, specs = _considered(request.model, catalog)
    kept: list[Candidate] = []
    dropped: list[tuple[str, str]] = []
    fit = False
    for spec in specs:
        unfit = _unfit(request, spec)
        fit = fit or unfit is None
        reason = _withheld(request, spec) or unfit or unavailable.get(spec.id)
        if reason is not None:
            dropped.append((spec.id, reason))
        else:
            position = len(kept) + len(dropped) + 1
            kept.append(Candidate(spec, f"choice {position} of {len(specs)} for {role.value}" if role else "asked for"))
    return Plan(tuple(kept), tuple(dropped), unfit=not fit and bool(specs))


def _considered(model: str, catalog: Catalog) -> tuple[Role | None, tuple[Spec, ...]]:
    for role in Role:
        if model == role.value:
            return role, catalog.for_role(role)
    spec = catalog.find(model)
    if spec is None or spec.kind != "chat":
        raise UnknownModel(model, catalog.chat_names)
    return None, (spec,)


def _withheld(request: GenerateRequest, spec: Spec) -> str | None:
    """Why the spec may not see the request; None when it may."""
    if request.data_class is DataClass.PRIVATE and spec.where != "cluster":
        return "private text stays in the cluster"
    if request.model == Role.PRIVATE and spec.where != "cluster":
        return "the role private stays in the cluster"
    return None


def _unfit(request: GenerateRequest, spec: Spec) -> str | None:
    """What the request asks and the spec cannot, as a sentence; None when it can all."""
    for capability, wanted, sentence in _needs(request):
        if wanted and capability not in spec.capabilities:
            return sentence
    refused = sorted(name for name in spec.refused_parameters if request.sampling.uses(name))
    if refused:
        return f"it refuses {', '.join(refused)}"
    return None


def _needs(request: GenerateRequest) -> Iterator[tuple[Capability, bool, str]]:
    """What a request cannot do without, and what is said of a spec that lacks it. Cheap where nothing is needed."""
    yield "json_schema", request.answer_schema is not None, "it gives no answers under a JSON schema"
    yield "logprobs", request.top_logprobs is not None, "it gives no log probabilities"
    yield "effort", request.effort is not None, "it knows no reasoning effort"
    plain = all(isinstance(turn.content, str) for turn in request.messages)
    tools = bool(request.tools) or (not plain and _any(request, ToolCall | ToolResult))
    yield "tools", tools, "it calls no tools"
    yield "vision", not plain and _any(request, Image), "it sees no images"


def _any(request: GenerateRequest, kind: Any) -> bool:
    """Whether a message holds a part of that kind, be it in a tool's result."""
    parts = [part for turn in request.messages for part in turn.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.content]
    return any(isinstance(part, kind) for part in parts)
