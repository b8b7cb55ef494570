"""Which texts go through an encoder together. Pure: lengths in, indices out."""

from collections.abc import Sequence

BATCH_TOKENS = 1024
"""Padded tokens of one call. From 128 of them on a token costs the same (0.27 ms, all-MiniLM, one core, 2026-11-23)."""

CALL_TOKENS = 16
"""What a call costs before its first token, in tokens: 4.5 ms of 0.27 ms each. More padding than that is dearer."""


def token_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Split texts into batches that pad little: indices, longest texts first, each index once.

    A batch is padded to its longest text. It closes before its padded size would pass BATCH_TOKENS (one text always
    fits), and before its padding would pass CALL_TOKENS, where another call is cheaper. Costs at most 4 % more
    than the best split, on lists of 8 to 2048 texts of log-normal lengths; splitting sorted texts by 32 costs up to
    2.3 times as much.
    """
    batches: list[list[int]] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        gap = longest - lengths[index]
        if batches and (len(batches[-1]) + 1) * longest <= BATCH_TOKENS and padding + gap <= CALL_TOKENS:
            batches[-1].append(index)
            padding += gap
        else:
            batches.append([index])
            longest, padding = lengths[index], 0
    return batches
