"""Small things that tests of several rings need; on the path through pyproject.toml."""

import random

from cluster.laptop import ports


def free_port() -> int:
    """A loopback port that nobody holds now, out of the ranges of the system itself and of our clusters' blocks."""
    return ports.first_free(random.sample(range(10_000, 20_000), 50))
