"""Bodies of requests: distinct, of one length, the same in every run."""

import orjson

SAYINGS = (
    "Man is a machine that can cease to be one.",
    "Assume the feeling of the wish fulfilled.",
    "What is the difference between essence and personality?",
    "A business plan is a promise that somebody makes to himself.",
    "Consciousness develops through its own effort.",
    "How does attention change what it looks at?",
    "Remember yourself always and everywhere.",
    "The kingdom of nature is a school.",
)


def chats(
    model: str, count: int, text: str = "What do the teachings say about effort?", **fields: object
) -> list[bytes]:
    """Chat requests that differ in a number only: `TEXT (000017)`."""
    return [
        orjson.dumps({"model": model, "messages": [{"role": "user", "content": f"{text} ({number:06d})"}], **fields})
        for number in range(count)
    ]


def sentences(count: int) -> list[str]:
    """Sentences of 10 to 20 tokens, no two alike."""
    return [f"{SAYINGS[number % len(SAYINGS)]} ({number})" for number in range(count)]
