"""The unmodified openai SDK against a running cluster, real models behind it."""

import json
import math

import numpy as np
import openai
import pytest
from openai import OpenAI

pytestmark = pytest.mark.cluster

PARIS = [{"role": "user", "content": "What is the capital of France?"}]


def test_a_question_gets_a_real_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="realtime", messages=PARIS, temperature=0, max_tokens=32)
    assert "Paris" in answer.choices[0].message.content
    assert answer.object == "chat.completion"
    assert answer.usage.prompt_tokens > 5
    assert 0 < answer.usage.completion_tokens <= 32
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same_and_ends_with_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="bulk", messages=PARIS, temperature=0, max_tokens=32, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text
    assert len(chunks) > 4
    assert chunks[-1].usage.completion_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_a_schema_is_kept_to(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="filter",
        messages=[{"role": "user", "content": "Maria Lopez is 34 years old. Give her name and age as JSON."}],
        temperature=0,
        max_tokens=80,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}},
    )
    person = json.loads(answer.choices[0].message.content)
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)


def test_stop_seed_and_max_tokens_are_obeyed(client: OpenAI) -> None:
    def ask(**options):
        return client.chat.completions.create(
            model="realtime",
            messages=[{"role": "user", "content": "Count: one, two, three, four, five, six"}],
            extra_headers={"Cache-Control": "no-store"},
            **options,
        )

    cut = ask(temperature=0, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 3
    full = ask(temperature=0, max_tokens=40).choices[0].message.content
    word = full.split()[2]
    assert word not in ask(temperature=0, max_tokens=40, stop=[word]).choices[0].message.content
    first, second = (ask(temperature=1.0, seed=7, max_tokens=12).choices[0].message.content for _ in range(2))
    assert first == second


def test_embeddings_are_unit_vectors_that_mean_something(client: OpenAI) -> None:
    texts = ["a cat sits on the mat", "a kitten rests on a rug", "interest rates rose again"]
    vectors = np.array([row.embedding for row in client.embeddings.create(model="all-minilm-l6-v2", input=texts).data])
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.5
    assert vectors[0] @ vectors[2] < 0.3


def test_embeddings_come_as_floats_or_base64_and_shorter_when_asked(client: OpenAI) -> None:
    def embed(**options):
        return client.embeddings.create(model="all-minilm-l6-v2", input="peace", **options)

    floats = embed(encoding_format="float").data[0].embedding
    assert np.allclose(embed().data[0].embedding, floats, atol=1e-6)  # the SDK asks for base64 and decodes it
    short = embed(dimensions=64)
    assert len(short.data[0].embedding) == 64
    assert math.isclose(np.linalg.norm(short.data[0].embedding), 1, abs_tol=1e-5)
    assert short.usage.prompt_tokens == 3


def test_a_list_of_every_length_keeps_its_order(client: OpenAI) -> None:
    texts = [("word " * n).strip() for n in (1, 200, 3, 90, 2, 400, 10)]
    together = client.embeddings.create(model="all-minilm-l6-v2", input=texts).data
    assert [row.index for row in together] == list(range(7))
    for text, row in zip(texts, together, strict=True):
        alone = client.embeddings.create(model="all-minilm-l6-v2", input=text).data[0].embedding
        assert np.dot(alone, row.embedding) > 0.9999


def test_models_lists_roles_and_models_and_says_why_one_cannot_be_asked(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"synthesis", "realtime", "bulk", "filter", "private"} <= models.keys()
    assert models["smollm2-135m-instruct"].available is True
    vendor = next(model for model in models.values() if model.owned_by == "anthropic")
    assert vendor.available is False
    assert vendor.unavailable_because
    assert client.models.retrieve("realtime").id == "realtime"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-2")


def test_the_sdk_raises_its_own_errors(cluster, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="realtime"):
        client.chat.completions.create(model="gpt-4", messages=PARIS)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="realtime", messages=[])
    assert caught.value.param == "messages"
    stranger = OpenAI(base_url=f"{cluster.url}/v1", api_key="bo-000000000000-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="realtime", messages=PARIS)


def test_a_prompt_longer_than_the_context_is_told_both_numbers(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"8192 tokens.*\d{5}") as caught:
        client.chat.completions.create(model="realtime", messages=[{"role": "user", "content": "word " * 20_000}])
    assert caught.value.code == "context_length_exceeded"
