import socket
from collections.abc import Iterator

import pytest

from cluster.laptop import ports


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that this process listens on."""
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]
