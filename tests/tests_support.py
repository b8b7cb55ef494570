"""Small things that tests of several rings need; on the path through pyproject.toml."""

import random

from cluster.laptop import ports


def free_port() -> int:
    """A loopback port that nobody holds now, out of the range that the system hands out by itself."""
    return ports.first_free(random.sample(range(20_000, 30_000), 50))
