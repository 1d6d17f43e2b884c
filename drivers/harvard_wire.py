"""Commands and questions to one Harvard Apparatus pump: framing, repetitions, and answers that never come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, overload

from drivers.errors import DriverError, ProtocolError, RefusedError, WireTimeoutError
from drivers.harvard_frames import encode, parse_reply, receive
from drivers.transport import Line, Transport

T = TypeVar("T")

SILENT_SET_S: Final = 0.2
"""How long a chained pump is given to answer a set; it may never do so, and is then asked what it made of it."""


class HarvardWire:
    """The way to one pump on its line.

    ``alarm``: the newest alarm in words, latched until it is cleared here; a stall is seen in the prompt of any answer.
    """

    def __init__(self, line: Line, address: int, name: str) -> None:
        self.line = line
        self.alarm: str | None = None
        self._address = address
        self._name = name
        self._answers_sets = False

    async def query(self, command: str, parse: Callable[[str], T]) -> T:
        """What the first text line of an answer says."""
        _, value = await self.ask(command, parse)
        return value

    async def tell(self, command: str, attempts: int = 3) -> None:
        """A command that has no answer but the prompt."""
        await self.ask(command, None, attempts)

    @overload
    async def ask(self, command: str, parse: Callable[[str], T], attempts: int = 3) -> tuple[str, T]: ...
    @overload
    async def ask(self, command: str, parse: None, attempts: int = 3) -> tuple[str, None]: ...
    async def ask(self, command: str, parse: Callable[[str], T] | None, attempts: int = 3) -> tuple[str, T | None]:
        """One command, its prompt and what its text says; all but ``irun`` may be repeated.

        An answer does not say what it answers. One that lacks its text, or whose text is of another kind, is a late
        one or a prompt said unasked; the line is then left to fall quiet and the command said again. A chained pump
        that has never answered a command without text may keep silent; whoever sets reads back.
        """
        request = encode(self._address, command)
        may_be_silent = parse is None and self._address > 0 and not self._answers_sets

        async def read(transport: Transport, timeout_s: float) -> bytes:
            try:
                answer = await receive(transport, SILENT_SET_S if may_be_silent else timeout_s, self._address)
            except WireTimeoutError as error:
                if error.answered or not may_be_silent:
                    raise
                return b""
            understand(answer)
            return answer

        def understand(answer: bytes) -> tuple[str, T | None]:
            if not answer:
                return ":", None
            reply = parse_reply(answer, self._address)
            if reply.error is not None:
                raise RefusedError("the pump refuses", answered=reply.error)
            if (parse is None) != (not reply.lines):
                raise ProtocolError("this is the answer to something else", answered=answer)
            return reply.prompt, parse(reply.lines[0]) if parse else None

        failures = 0
        silences = 0
        while True:
            try:
                answer = await self.line.exchange(request, read, device=self._name)
                prompt, value = understand(answer)
                break
            except (WireTimeoutError, ProtocolError, RefusedError) as error:
                failures += 1
                silences += isinstance(error, WireTimeoutError) and not error.answered
                if failures < attempts and not isinstance(error, RefusedError):
                    continue
                if parse is None and self._address > 0 and silences == failures:
                    # What it answered before was something it said unasked.
                    self._answers_sets = False
                    return ":", None
                raise self.fault(type(error), error.message, command, error.answered) from error
        if answer and parse is None:
            self._answers_sets = True
        if prompt == "*":
            self.alarm = "stalled"
        return prompt, value

    def fault(self, kind: type[DriverError], message: str, asked: object, answered: object) -> DriverError:
        """An error that names this pump and its port."""
        return kind(message, device=self._name, port=self.line.name, asked=asked, answered=answered)
