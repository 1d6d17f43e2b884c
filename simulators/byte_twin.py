"""What the twins on byte streams have in common: the link they are attached to, and what has come and is not whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from simulators.links import Emit, Loop


class ByteTwin(ABC):
    """A device at the end of a byte stream, which takes whole messages off what has come.

    A :class:`simulators.links.StreamTwin`.
    """

    def __init__(self) -> None:
        self._link: tuple[Loop, Emit] | None = None
        self._buffer = bytearray()

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Take over from an earlier link; the device is found as it is."""
        self._link = loop, emit
        self._buffer.clear()

    def receive(self, data: bytes) -> None:
        """Bytes from the host, in whatever pieces they come. Raises RuntimeError before ``attach``."""
        if self._link is None:
            raise RuntimeError("the twin is not attached to a link")
        self._buffer += data
        self._take()

    @abstractmethod
    def _take(self) -> None:
        """Take the whole messages off the buffer, and do what they say."""

    @property
    def _loop(self) -> Loop:
        assert self._link is not None, "a twin answers only when attached"
        return self._link[0]

    def _emit(self, data: bytes) -> None:
        """Say something, asked or not; before the first link nobody hears it."""
        if self._link is not None:
            self._link[1](data)

    def _lines(self, end: bytes, longest: int) -> Iterator[bytes]:
        """Take the lines off the buffer, without their end; what is longer than any line and has no end is dropped."""
        while (at := self._buffer.find(end)) >= 0:
            line = bytes(self._buffer[:at])
            del self._buffer[: at + 1]
            yield line
        if len(self._buffer) > longest:
            self._buffer.clear()
