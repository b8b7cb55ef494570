"""Server-sent events from bytes as they come off a socket (WHATWG HTML, section 9.2). Pure; one parser a stream."""

MAX_EVENT_BYTES = 4 * 1024 * 1024  # an image in one event fits; a server that never ends a line does not fill memory


class EventTooLong(ValueError):
    """One event is over MAX_EVENT_BYTES."""


class SseParser:
    """`feed` bytes in any pieces, get the `data` of each event that is complete, undecoded.

    Line ends may be LF, CRLF or CR; comments and fields other than data are skipped; data lines of one event are joined
    by a line feed. Bytes are decoded by whoever parses the data, so a character cut between reads is no matter.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._pending_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes. Raises EventTooLong."""
        buffer = self._rest + chunk if self._rest else chunk
        if b"\r" in buffer:
            held = b"\r" if buffer.endswith(b"\r") else b""  # its line feed may come with the next read
            buffer = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        lines = buffer.split(b"\n")
        self._rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if line[:5] == b"data:":
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._pending_bytes += len(value)
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._pending_bytes = [], 0
        if self._pending_bytes + len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLong(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return events
