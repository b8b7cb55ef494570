"""Batches that pad little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engines.token_batches import BATCH_TOKENS, CALL_TOKENS, token_batches


@given(st.lists(st.integers(1, 512), max_size=200))
def test_each_text_is_in_one_batch_within_the_limits(lengths) -> None:
    batches = token_batches(lengths)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = lengths[batch[0]] * len(batch)
        assert lengths[batch[0]] == max(lengths[index] for index in batch)
        assert padded <= BATCH_TOKENS or len(batch) == 1
        assert padded - sum(lengths[index] for index in batch) <= CALL_TOKENS


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([], []),
        ([5000], [[0]]),
        ([3, 3, 3], [[0, 1, 2]]),
        ([10, 200, 11, 198], [[1, 3], [2, 0]]),
        ([16] * 65, [list(range(64)), [64]]),
    ],
)
def test_like_goes_with_like(lengths, batches) -> None:
    assert token_batches(lengths) == batches
