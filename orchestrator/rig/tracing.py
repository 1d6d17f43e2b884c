"""Device calls: recorded while a run happens, answered from the record when it is replayed; outside runs, neither.

A call in the journal is `{"d": device, "i": number of the call on that device, "v": verb, "a": arguments, "t": time of
completion in s, ...}` with one of `"r"`: the result, `"e"`: `{"type", "message", "device"}` of the error, `"x"`: true
for a call that was cancelled. `"w"`, in records by the wall only, is the task that asked, where that was not the
conductor. A float that JSON cannot say is `{"float": "nan" | "inf" | "-inf"}`. Actions return plain JSON (lists, not
tuples), so that a replay sees what the run saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.canonical import JSON, first_difference
from orchestrator.clock.virtual_time import UtcClock
from orchestrator.errors import LumiflowError, ReplayDivergence
from orchestrator.journal.journal import Event, Journal
from orchestrator.journal.record import wait_until
from orchestrator.rig.devices import ASKED_BY

Action = Callable[[], Awaitable[JSON]]

_SEQUENCES: Final = (list, tuple)
_SAYABLE: Final = frozenset((str, int, bool, type(None)))
"""Kinds of value that JSON can always say."""
CANCEL_SLACK_S = 60.0  # a call that was cancelled is given up as a divergence when it waits so long past its event


class RecordedDeviceError(LumiflowError):
    """A device error that a replay raises again. Its class bears the recorded type's name; `device` may be None."""

    def __init__(self, kind: str, message: str, device: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.device = device


class Unrecorded:
    """A tracer that runs device calls and keeps nothing of them."""

    async def call(self, device: str, verb: str, args: Mapping[str, JSON], action: Action) -> JSON:
        """Run it."""
        return await action()

    def store(self, data: bytes) -> str:
        """Keep nothing."""
        return ""

    def load(self, address: str) -> bytes:
        """Nothing was kept."""
        return b""


async def unreported(step: str, ok: bool, detail: str) -> None:
    """Hears of the steps of a safe sequence where there is nobody to tell, and no journal."""


class RecordingTracer:
    """Runs each call and notes it in the journal."""

    def __init__(self, journal: Journal, clock: UtcClock) -> None:
        self._journal = journal
        self._clock = clock
        self._issued: dict[str, int] = {}

    async def call(self, device: str, verb: str, args: Mapping[str, JSON], action: Action) -> JSON:
        """Run the action; its result or its error is noted at its end and passed on."""
        number = self._issued.get(device, 0)
        self._issued[device] = number + 1
        head = {"d": device, "i": number, "v": verb, "a": _sayable(dict(args))}
        if not self._journal.virtual and ASKED_BY.get():
            head["w"] = ASKED_BY.get()
        try:
            result = await action()
        except asyncio.CancelledError:
            self._journal.note_call({**head, "t": self._clock.t_s(), "x": True})
            raise
        except Exception as error:
            self._journal.note_call({**head, "t": self._clock.t_s(), "e": _error_data(error)})
            raise
        self._journal.note_call({**head, "t": self._clock.t_s(), "r": _sayable(result)})
        return result

    def store(self, data: bytes) -> str:
        """Keep a large result in the journal and return its address."""
        return self._journal.put_blob(data)

    def load(self, address: str) -> bytes:
        """The bytes kept under an address. Raises JournalError when there are none."""
        return self._journal.blob(address)


@dataclass(frozen=True)
class _Answer:
    """One recorded call, the event that holds it, and how many completed calls that event has before it."""

    event: Event
    position: int
    call: Mapping[str, Any]

    @property
    def cancelled(self) -> bool:
        return "x" in self.call

    @property
    def time_s(self) -> float:
        return float(self.call["t"])


def _asks(answer: _Answer, verb: str, args: JSON) -> bool:
    """Whether a recorded call is of this verb and these arguments."""
    return bool(answer.call["v"] == verb) and first_difference(answer.call["a"], args) is None


class ReplayTracer:
    """Answers each call from the record: the same result, at the same time, in the same order. No action is run.

    Make it after `journal.catch_up()` on a journal open for reading; raises JournalError before that. `call` raises
    RecordDiffers for a call that the record does not have, and EndOfRecord for one under way when the record ended.

    What happens at one instant may happen in another order than it did (a device's bytes took turns of the loop that a
    record does not take). So a call that was cancelled then need not be made now; one made now that is cancelled at the
    same instant leaves no trace; and a cancellation waits until the call has come as far as it had then.

    By the wall tasks are late by what the machine is busy with, so that two of them come to a device now in this order
    and now in that. There a call is answered by the next recorded one of its verb and arguments that the same task has
    made; in records from before calls named their task, that any has.
    """

    def __init__(self, journal: Journal, clock: UtcClock) -> None:
        self._journal = journal
        self._record = journal.record
        self._clock = clock
        self._answers: dict[str, list[_Answer]] = {}
        self._named = False
        for event in self._record.events:
            completed = 0
            for call in event.calls:
                self._answers.setdefault(str(call["d"]), []).append(_Answer(event, completed, call))
                completed += "x" not in call
                self._named = self._named or "w" in call
        for answers in self._answers.values():
            answers.sort(key=lambda answer: int(answer.call["i"]))

    async def call(self, device: str, verb: str, args: Mapping[str, JSON], action: Action) -> JSON:
        """Wait for the recorded moment, then return the recorded result or raise the recorded error."""
        answer = self._claim(device, verb, _sayable(dict(args)))
        if answer is None:
            await self._record.pass_instant()
            raise await self._unknown(device, verb, _sayable(dict(args)))
        try:
            await self._moment(answer)
        except asyncio.CancelledError:
            await self._cancel(device, answer)
            raise
        self._journal.note_call(answer.call)
        if "e" in answer.call:
            raise _recorded_error(answer.call["e"])
        return _said(answer.call["r"])

    def _claim(self, device: str, verb: str, args: JSON) -> _Answer | None:
        """The device's next recorded call if it is this one. Cancelled ones that are not, or are over, are left out."""
        answers = self._answers.get(device, [])
        if not self._record.exact:
            return self._claim_like_it(answers, verb, args)
        for index, answer in enumerate(answers):
            if _asks(answer, verb, args) and not self._over(answer):
                del answers[: index + 1]
                return answer
            if not answer.cancelled:
                return None
        return None

    def _claim_like_it(self, answers: list[_Answer], verb: str, args: JSON) -> _Answer | None:
        """The next call like it in a record by the wall; of a watcher, who may have looked once more or once less than
        now, the one nearest in time."""
        del answers[: next((at for at, answer in enumerate(answers) if not self._over(answer)), len(answers))]
        asked_by = ASKED_BY.get() if self._named else ""
        now_s, like = self._clock.t_s(), []
        for at, answer in enumerate(answers):
            if answer.call.get("w", "") == asked_by and _asks(answer, verb, args) and not self._over(answer):
                like.append(at)
                if not asked_by or answer.time_s > now_s:
                    break
        if not like:
            return None
        chosen = min(like, key=lambda at: abs(answers[at].time_s - now_s))
        nearest = answers[chosen]
        for at in reversed(like[: like.index(chosen) + 1]):
            del answers[at]
        return nearest

    def _over(self, answer: _Answer) -> bool:
        """Whether a recorded call can no longer be this one."""
        if answer.cancelled:
            return answer.time_s < self._clock.t_s()
        return not self._record.exact and answer.event.seq <= self._record.passed

    async def _moment(self, answer: _Answer) -> None:
        """Wait for the end of the recorded call, and for its turn; of a cancelled one, for its cancellation."""
        if answer.cancelled:
            await wait_until(self._clock.loop_time(answer.event.t_s) + CANCEL_SLACK_S)
            where = f"{answer.call['d']}[{answer.call['i']}]"
            raise self._record.diverge(answer.event.seq, "device call", where, "cancelled", "waiting")
        await wait_until(self._clock.loop_time(answer.time_s))
        await self._record.turn(answer.event, answer.position)

    async def _cancel(self, device: str, answer: _Answer) -> None:
        """Be cancelled no earlier than then; a call that was not cancelled then completes first, if it can by now."""
        early = self._record.exact and answer.time_s > self._clock.t_s()
        if early and not answer.cancelled:
            self._answers[device].insert(0, answer)  # a later call may be the one meant
            return
        with contextlib.suppress(ReplayDivergence):
            await wait_until(self._clock.loop_time(answer.time_s))
            await self._record.turn(answer.event, answer.position)
            if not answer.cancelled:
                self._journal.note_call(answer.call)

    async def _unknown(self, device: str, verb: str, args: JSON) -> ReplayDivergence:
        """What to say of a call that the record does not have next. Raises EndOfRecord if it is only over."""
        left = (answer for answer in self._answers.get(device, []) if not answer.cancelled)
        ahead = next((answer for answer in left if not self._over(answer)), None)
        if ahead is None:
            await self._record.end()
            return self._record.diverge(self._record.passed, "device call", device, "no such call", verb)
        then = {"v": ahead.call["v"], "a": ahead.call["a"]}
        difference = first_difference(then, {"v": verb, "a": args}, f"{device}[{ahead.call['i']}]")
        where, expected, got = difference or (device, then, {"v": verb, "a": args})
        return self._record.diverge(ahead.event.seq, "device call", where, expected, got)

    def store(self, data: bytes) -> str:
        """Keep bytes for this replay only."""
        return self._journal.put_blob(data)

    def load(self, address: str) -> bytes:
        """The bytes that the record keeps under an address. Raises JournalError when there are none."""
        return self._journal.blob(address)


def _error_data(error: Exception) -> dict[str, JSON]:
    device = getattr(error, "device", None)
    message = str(error).encode("utf-8", "backslashreplace").decode()
    return {"type": type(error).__name__, "message": message, "device": device if isinstance(device, str) else None}


def _recorded_error(data: Mapping[str, Any]) -> RecordedDeviceError:
    """An error whose class has the recorded name: what a run writes about an error, its replay writes too."""
    named = type(str(data["type"]), (RecordedDeviceError,), {"__doc__": "A recorded device error."})
    error = named(str(data["type"]), str(data["message"]), data.get("device"))
    assert isinstance(error, RecordedDeviceError)
    return error


def _sayable(value: JSON) -> JSON:
    """The value with floats that JSON cannot say spelled out; itself when there are none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()} if value else value
    if isinstance(value, _SEQUENCES):
        return [item if type(item) in _SAYABLE else _sayable(item) for item in value]
    return value


def _said(value: JSON) -> JSON:
    """The inverse of `_sayable`, on a fresh copy."""
    if isinstance(value, dict):
        if value.keys() == {"float"}:
            return float(value["float"])
        return {key: _said(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_said(item) for item in value]
    return value
