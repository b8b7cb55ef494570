"""The main path: flight, plan, engine, cache."""

import asyncio

import pytest

from deployments.answers import AnswerCache
from deployments.completion import Completion
from deployments.edge import CacheDirectives
from deployments.metrics import CACHE, FAILURES, TOKENS, Metrics
from models.catalog import Catalog, Spec
from models.errors import AllModelsFailed, ModelRefused, ModelUnavailable, NoCandidate, UnknownModel
from models.fakes import FakeGenerator
from models.values import DataClass, Finished, GenerateRequest, Message, Role, TextDelta
from stores.memory import MemoryCache

FIRST = Spec("first", "chat", "openai", "cluster", "first", max_output_tokens=100)
SECOND = Spec("second", "chat", "openai", "cluster", "second", max_output_tokens=100)
VENDOR = Spec("vendor", "chat", "openai", "openai", "vendor", max_output_tokens=100)
CATALOG = Catalog((FIRST, SECOND, VENDOR), ((Role.BULK, ("vendor", "first", "second")),), "r")
ASK = GenerateRequest("bulk", (Message("user", "one two three"),))
USUAL = CacheDirectives()


class Recorded(list):
    def add(self, name, description, tags, amount) -> None:
        self.append((name, {key: value for key, value in tags.items() if key != "application"}, amount))

    def set(self, *_) -> None: ...

    def observe(self, *_) -> None: ...


class House:
    def __init__(self, **engines: FakeGenerator) -> None:
        self.engines = {"first": FakeGenerator(), "second": FakeGenerator(), **engines}
        self.sink = Recorded()
        self.metrics = Metrics("gateway", self.sink)
        self.store = MemoryCache()
        self.answers = AnswerCache(self.store, 3600, 10**6, 60)
        reasons = {"vendor": "no key"}
        self.completion = Completion(CATALOG, self.engines, lambda: reasons, self.answers, self.metrics)

    async def ask(self, request=ASK, key: str | None = "k", directives=USUAL) -> tuple[str, bool]:
        passage = self.completion.begin(request, key, directives)
        async with passage.flight.listen() as batches:
            events = [event async for batch in batches for event in batch]
        assert isinstance(events[-1], Finished)
        return "".join(event.text for event in events if isinstance(event, TextDelta)), passage.coalesced

    def counted(self, metric: tuple[str, str]) -> list:
        self.metrics.hand_over()
        return [(tags, amount) for name, tags, amount in self.sink if name == metric[0]]


async def settled(house: House) -> None:
    """Answers are stored beside the path; wait for that."""
    async with asyncio.timeout(5):
        while house.completion._storing:
            await asyncio.gather(*house.completion._storing)


async def test_the_first_candidate_answers_and_the_answer_is_kept_in_both_caches() -> None:
    house = House()
    assert await house.ask() == ("one two three", False)
    await settled(house)
    assert house.answers.recall("k").answer.text == "one two three"
    assert await house.store.get("k") is not None
    assert house.engines["second"].calls == 0
    assert ({"direction": "output", "model": "first"}, 3) in house.counted(TOKENS)


async def test_identical_requests_in_flight_share_one_generation() -> None:
    gate = asyncio.Event()
    house = House(first=FakeGenerator(gate=gate))
    asked = [asyncio.create_task(house.ask()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*asked)
    assert {text for text, _ in answers} == {"one two three"}
    assert sorted(coalesced for _, coalesced in answers) == [False, True, True, True, True]
    assert house.engines["first"].calls == 1
    assert sorted(amount for _, amount in house.counted(CACHE)) == [1, 4]


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_may_not_be_shared_is_not(key: str | None) -> None:
    gate = asyncio.Event()
    house = House(first=FakeGenerator(gate=gate))
    no_store = CacheDirectives(read=False, write=False)
    asked = [asyncio.create_task(house.ask(key=key, directives=no_store if key else USUAL)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)
    await settled(house)
    assert house.engines["first"].calls == 3
    assert house.answers.recall("k") is None


async def test_who_wants_a_fresh_answer_starts_a_flight_of_their_own_and_stores_it() -> None:
    house = House()
    await house.ask(directives=CacheDirectives(read=False, write=True))
    assert house.answers.recall("k") is not None


async def test_a_model_that_fails_before_its_first_word_is_followed_by_the_next() -> None:
    house = House(first=FakeGenerator(failures=[ModelUnavailable("first", "gone")]))
    assert (await house.ask())[0] == "one two three"
    assert house.engines["second"].calls == 1
    assert house.counted(FAILURES) == [({"code": "model_unavailable", "model": "first"}, 1)]


async def test_when_all_fail_the_error_holds_each_failure_and_nothing_is_kept() -> None:
    failures = {name: FakeGenerator(failures=[ModelUnavailable(name, "gone")]) for name in ("first", "second")}
    house = House(**failures)
    with pytest.raises(AllModelsFailed, match=r"first cannot answer.*second cannot answer"):
        await house.ask()
    assert house.answers.recall("k") is None
    assert (await house.ask())[0] == "one two three", "a failed flight is not joined by the next request"


async def test_a_refusal_is_final() -> None:
    house = House(first=FakeGenerator(failures=[ModelRefused("first", 404, "no")]))
    with pytest.raises(ModelRefused):
        await house.ask()
    assert house.engines["second"].calls == 0


@pytest.mark.parametrize(("limit", "reply"), [(2, None), (None, "")], ids=["cut", "empty"])
async def test_an_answer_that_is_cut_or_empty_is_not_kept(limit: int | None, reply: str | None) -> None:
    house = House(first=FakeGenerator(reply))
    await house.ask(GenerateRequest("bulk", ASK.messages, limit))
    await settled(house)
    assert house.answers.recall("k") is None


async def test_the_engine_stops_when_nobody_listens_any_more() -> None:
    house = House(first=FakeGenerator(gate=asyncio.Event()))
    asked = asyncio.create_task(house.ask())
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    async with asyncio.timeout(5):
        while house.engines["first"].stopped == 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert house.answers.recall("k") is None


async def test_no_candidate_says_why_and_an_unknown_model_names_the_known() -> None:
    house = House()
    with pytest.raises(NoCandidate, match="vendor: no key"):
        house.completion.begin(GenerateRequest("vendor", ASK.messages), None, USUAL)
    with pytest.raises(UnknownModel, match="bulk"):
        house.completion.begin(GenerateRequest("nobody", ASK.messages), None, USUAL)


async def test_private_text_is_answered_in_the_cluster_without_a_trace_in_the_cache() -> None:
    house = House()
    request = GenerateRequest("bulk", ASK.messages, data_class=DataClass.PRIVATE)
    assert (await house.ask(request, key=None))[0] == "one two three"
    await settled(house)
    assert house.store._entries == {}
