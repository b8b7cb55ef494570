"""Which ports are free, and who holds those that are not."""

import os
import random
import socket

from cluster.laptop import ports


def test_a_port_with_a_listener_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_port_whose_listener_is_gone_is_free_again() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection((ports.LOOPBACK, port)):
            connection, _ = listener.accept()
            connection.close()
    assert ports.is_free(port)


def test_a_listener_on_one_other_address_is_seen() -> None:
    """A program that listens on all interfaces holds the port for loopback too."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        assert not ports.is_free(listener.getsockname()[1])


def test_the_holder_is_named_with_its_pid(taken: int) -> None:
    assert ports.holders(taken) == {os.getpid()}
    assert f"(pid {os.getpid()})" in ports.holder(taken)
    assert ports.holder(taken).startswith(("python", "pytest"))


def test_nobody_holds_a_free_port(taken: int) -> None:
    free = ports.first_free(range(taken + 1, 65_000))
    assert ports.holders(free) == set()


def test_the_first_free_port_is_taken(taken: int) -> None:
    assert ports.first_free([taken]) is None
    chosen = ports.first_free([taken, taken + 1, taken + 2, taken + 3])
    assert chosen is None or chosen > taken


def test_a_process_listens_where_it_listens(taken: int) -> None:
    assert taken in ports.listening_by_pid({os.getpid()})[os.getpid()]


def test_a_block_holds_no_listener_and_keeps_away_from_rays_defaults() -> None:
    first = ports.free_block(random.Random(7))  # noqa: S311
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, first + 42))
        listener.listen()
        second = ports.free_block(random.Random(7))  # noqa: S311
    assert first != second
    for block in (first, second):
        assert block % ports.BLOCK_PORTS == 0
        assert 20_000 <= block <= 32_768 - ports.BLOCK_PORTS
