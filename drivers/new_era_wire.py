"""Questions and orders to one New Era pump: framing, repetitions, alarms, and doubts about who has heard an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from drivers.errors import DeviceAlarmError, DriverError, ProtocolError, RefusedError, WireTimeoutError
from drivers.new_era_frames import (
    ALARMS,
    ERRORS,
    Reply,
    encode_basic,
    encode_safe,
    parse_reply,
    receive_basic,
    receive_safe,
)
from drivers.transport import Line, Neighbour

T = TypeVar("T")

ATTEMPTS: Final = 3
"""How often a command is sent before its silence is believed."""
GARBLED_ATTEMPTS: Final = 6
"""How often it is sent in all while garbage comes back: then the line is bad, and not dead."""
_QUESTIONS: Final = frozenset(("", "VER", "DIS", "RAT", "VOL", "DIA", "DIR"))


class NewEraWire:
    """The way to one pump on its line.

    ``safe``: whether packets with a checksum are spoken. In basic mode a byte gone wrong is noticed only where it
    makes no sense: an answer that does not parse is asked for again, a refusal may be the answer to a damaged command
    and is believed when it is heard twice ("?": when it has been heard six times), and an order that its own pump did
    not answer may have reached another one: every other of ``line.neighbours`` is then told to doubt itself.

    ``alarm``: the newest alarm in words, latched until it is cleared here.
    """

    def __init__(self, line: Line, address: int, name: str, owner: Neighbour) -> None:
        self.line = line
        self._owner = owner
        self.safe = False
        self.alarm: str | None = None
        self._address = address
        self._name = name

    async def read(self, command: str, parse: Callable[[str], T], *, latch: bool = False) -> T:
        """Ask and parse; what does not parse is asked for again."""
        return parse((await self.ask(command, parse=parse, latch=latch)).data)

    @property
    def undisturbed(self) -> bool:
        """Whether no damaged order for another pump can be taken for this one's: a checksum, or nobody else there."""
        return self.safe or all(neighbour is self._owner for neighbour in self.line.neighbours)

    async def ask(
        self,
        command: str,
        *,
        attempts: int = ATTEMPTS,
        acknowledge: bool = False,
        latch: bool = False,
        frame_safe: bool | None = None,
        read_safe: bool | None = None,
        parse: Callable[[str], object] | None = None,
        look: bool = False,
    ) -> Reply:
        """One command and its answer, repeated where silence or garbage comes back.

        A ``look`` is not repeated on a line that is known to be bad, by as many failures in a row as would make it so
        for one question, whoever asked: pumps that compete for it should not each find that out anew.

        ``attempts`` of 1 is for what must not be done twice: it is repeated only where the pump itself said that it
        did nothing. A pending alarm answers in the command's place, and is thereby acknowledged: with ``acknowledge``
        or ``latch`` the command is then sent again (``latch`` remembers the alarm), otherwise DeviceAlarmError is
        raised. Raises RefusedError, WireTimeoutError, ProtocolError.
        """
        safe_out = self.safe if frame_safe is None else frame_safe
        safe_in = self.safe if read_safe is None else read_safe
        request = encode_safe(self._address, command) if safe_out else encode_basic(self._address, command)
        order = command not in _QUESTIONS
        bare, dataless = order and not safe_out, order or not command
        alarms = failures = garbled = 0
        refusals: list[str] = []
        while True:
            try:
                reply = await self._exchange(request, safe_in, bare, dataless, parse)
            except (WireTimeoutError, ProtocolError) as error:
                bad = isinstance(error, ProtocolError)
                garbled += bad
                failures += 1
                self.line.garbled += bad
                self.line.failures += 1
                silent = failures - garbled >= attempts
                spoilt = look and self.line.garbled > 0 and self.line.failures >= GARBLED_ATTEMPTS
                if silent or spoilt or failures >= (attempts if attempts == 1 else GARBLED_ATTEMPTS):
                    raise self.fault(type(error), error.message, command, error.answered) from error
                continue
            self.line.garbled = self.line.failures = 0
            if reply.error is not None:
                refusals.append(reply.error)
                if (safe_out and safe_in) or _believed(refusals):
                    words = ERRORS.get(reply.error, f"?{reply.error}")
                    raise self.fault(RefusedError, words, command, f"?{reply.error}")
                continue
            if reply.alarm is None:
                return reply
            alarms += 1
            words = ALARMS.get(reply.alarm, f"alarm {reply.alarm}")
            if not acknowledge:
                self.alarm = words
            if not (acknowledge or latch) or alarms > 3:
                raise DeviceAlarmError(
                    f"the pump reports an alarm: {words}",
                    alarm=words,
                    device=self._name,
                    port=self.line.name,
                    asked=command,
                    answered=f"A?{reply.alarm}",
                )

    async def _exchange(
        self, request: bytes, safe_in: bool, bare: bool, dataless: bool, parse: Callable[[str], object] | None
    ) -> Reply:
        """Once; ``bare``: an order without a checksum. Raises ProtocolError also where the answer makes no sense.

        ``dataless``: an order, or the bare question for the prompt. Data is then the answer to an earlier question,
        with a sound checksum in safe mode too.
        """
        sound = False
        try:
            answer = await self.line.exchange(request, receive_safe if safe_in else receive_basic, device=self._name)
            reply = parse_reply(answer, self._address)
            if reply.error == "COM" or (not safe_in and reply.error is not None and reply.error not in ERRORS):
                raise ProtocolError(ERRORS["COM"], answered=answer)
            if reply.error is None and reply.alarm is None:
                if dataless and reply.data:
                    raise ProtocolError("this is not answered with data", answered=answer)
                if parse is not None:
                    parse(reply.data)
            sound = True
            return reply
        finally:
            if bare and not sound:
                for neighbour in self.line.neighbours:
                    if neighbour is not self._owner:
                        neighbour.doubt()

    def fault(self, kind: type[DriverError], message: str, asked: object, answered: object) -> DriverError:
        """An error that names this pump and its port."""
        return kind(message, device=self._name, port=self.line.name, asked=asked, answered=answered)


def _believed(refusals: list[str]) -> bool:
    """Whether refusals without a checksum are the pump's own word, and not the answer to a damaged command."""
    newest = refusals[-1]
    return len(refusals) >= GARBLED_ATTEMPTS or (newest != "" and refusals[-2:] == [newest, newest])
