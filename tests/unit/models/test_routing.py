"""Which model answers, and why."""

from dataclasses import replace

import pytest

from models.catalog import Catalog, Spec
from models.errors import UnknownModel
from models.routing import plan
from models.values import (
    DataClass,
    GenerateRequest,
    Image,
    JsonSchema,
    Message,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

LOCAL = Spec("local", "chat", "llama_cpp", "cluster", "local", capabilities=frozenset({"json_schema"}))
VENDOR = Spec(
    "vendor", "chat", "anthropic", "anthropic", "vendor", refused_parameters=frozenset({"temperature", "stop"})
)
EMBEDDER = Spec("embedder", "embedding", "openvino", "cluster", "embedder")
CATALOG = Catalog(
    (LOCAL, VENDOR, EMBEDDER),
    ((Role.SYNTHESIS, ("vendor", "local")), (Role.PRIVATE, ("vendor", "local")), (Role.BULK, ("vendor",))),
    "r",
)
ASK = GenerateRequest("synthesis", (Message("user", "hi"),))


def ids(request: GenerateRequest, unavailable=None) -> list[str]:
    return [candidate.spec.id for candidate in plan(request, CATALOG, unavailable or {}).candidates]


def test_a_role_keeps_the_catalog_s_order_and_says_so() -> None:
    assert ids(ASK) == ["vendor", "local"]
    assert plan(ASK, CATALOG, {}).summary == "vendor: choice 1 of 2 for synthesis, 1 more"


def test_a_model_asked_for_by_name_stands_alone() -> None:
    assert ids(replace(ASK, model="local")) == ["local"]


@pytest.mark.parametrize("request_", [replace(ASK, data_class=DataClass.PRIVATE), replace(ASK, model="private")])
def test_private_text_never_meets_a_vendor(request_: GenerateRequest) -> None:
    made = plan(request_, CATALOG, {})
    assert [candidate.spec.id for candidate in made.candidates] == ["local"]
    assert made.dropped[0][0] == "vendor"
    assert "private" in made.dropped[0][1]


def test_private_text_with_no_model_in_the_cluster_has_no_candidate() -> None:
    made = plan(replace(ASK, data_class=DataClass.PRIVATE), CATALOG, {"local": "it is down"})
    assert made.candidates == ()
    assert dict(made.dropped) == {"vendor": "private text stays in the cluster", "local": "it is down"}
    assert made.summary == "none"


def test_a_model_that_cannot_be_asked_is_dropped_with_the_reason_given() -> None:
    made = plan(ASK, CATALOG, {"vendor": "no ANTHROPIC_API_KEY"})
    assert made.dropped == (("vendor", "no ANTHROPIC_API_KEY"),)
    assert made.summary == "local: choice 2 of 2 for synthesis"


def test_capabilities_and_refused_parameters_are_hard() -> None:
    assert ids(replace(ASK, answer_schema=JsonSchema({"type": "object"}))) == ["local"]
    assert ids(replace(ASK, sampling=Sampling(temperature=0.0))) == ["local"]
    assert ids(replace(ASK, sampling=Sampling(stop=("x",)))) == ["local"]
    assert ids(replace(ASK, sampling=Sampling(top_p=0.5))) == ["vendor", "local"]


@pytest.mark.parametrize("model", ["nobody", "embedder", ""])
def test_what_is_neither_role_nor_chat_model_is_unknown_and_the_known_are_named(model: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        plan(replace(ASK, model=model), CATALOG, {})
    assert {"synthesis", "private", "local", "vendor"} <= set(caught.value.known)
    assert "embedder" not in caught.value.known


PICTURE = Message("user", (Text("what is it?"), Image(url="https://example.org/a.png")))
CALLED = (
    Message("user", "hi"),
    Message("assistant", (ToolCall("c", "f", "{}"),)),
    Message("user", (ToolResult("c", ()),)),
)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tools": (Tool("f", {}),)}, "calls no tools"),
        ({"messages": CALLED}, "calls no tools"),
        ({"messages": (PICTURE,)}, "sees no images"),
        ({"top_logprobs": 0}, "no log probabilities"),
        ({"effort": "low"}, "no reasoning effort"),
    ],
)
def test_what_a_model_cannot_do_is_said_and_waiting_would_not_help(changes: dict, says: str) -> None:
    made = plan(replace(ASK, model="local", **changes), CATALOG, {"local": "it is down"})
    assert made.unfit
    assert says in made.dropped[0][1]


def test_a_model_that_is_away_or_may_not_see_the_text_is_not_unfit() -> None:
    assert not plan(ASK, CATALOG, {"local": "it is down", "vendor": "no key"}).unfit
    assert not plan(replace(ASK, model="vendor", data_class=DataClass.PRIVATE), CATALOG, {}).unfit
    assert not plan(ASK, CATALOG, {}).unfit
