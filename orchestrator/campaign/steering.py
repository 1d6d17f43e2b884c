"""What an operator wants of a running campaign, asked from any thread and heard at the right moment.

`pause` and `stop` are heard between two experiments; `hold`, `abort`, `suspend` and `cut` at once; `continue` ends a
pause or a hold. While a record is caught up with, the record says what the operator wanted, and when.

A campaign that waits in virtual time makes its loop stand still: a pause takes no time of the twins, however long it
lasts on the wall, and a resumed record repeats.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.clock.virtual_time import VirtualTimeLoop
from orchestrator.history.run_state import Stop
from orchestrator.rig.rig import Forbids, Rig, make_safe, stop_pumps

if TYPE_CHECKING:
    from orchestrator.clock.virtual_time import UtcClock
    from orchestrator.journal.journal import Event, Journal

Verb = Literal["pause", "continue", "hold", "stop", "abort", "suspend", "cut"]
Append = Callable[[str, dict[str, Any]], Awaitable[Any]]

URGENT = ("hold", "abort", "suspend", "cut")
OWN_INSTANT_S = 0.001_37
"""On a virtual loop, what cannot wait takes effect so much later, at an instant of its own, where it can be repeated:
such a loop only ever stands at instants at which other things happen too, in an order that no record tells."""


@dataclass(frozen=True)
class Wish:
    """One thing that an operator wants. `by`: who. `keep_temperature`: of a hold, to leave the heater as it is.

    `asked_s`: the run's time at which one that cannot wait took effect.

    `suspend`: bring the rig to its safe state and leave the campaign to be resumed; `cut`: leave it as it stands, for
    twins, which lose nothing by it.
    """

    verb: Verb
    by: str
    keep_temperature: bool = False
    asked_s: float | None = None


class Steering:
    """Carries wishes into a campaign's loop. `on_wait` hears, in the loop, that the campaign waits or goes on."""

    def __init__(self, on_wait: Callable[[bool], None] | None = None) -> None:
        self._on_wait = on_wait
        self._lock = threading.Lock()
        self._wish: Wish | None = None
        self._gate = threading.Event()
        self._opened: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._urgent: Callable[[Wish], None] | None = None
        self._journal: Journal | None = None
        self.idle_s = 0.0
        """Seconds of the loop that the campaign has spent in pauses and holds."""

    def ask(self, wish: Wish) -> None:
        """Want something, from any thread. The last wish that was not heard yet is the one that counts."""
        with self._lock:
            self._wish = wish
            self._gate.set()
            loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._heard, wish)
            except RuntimeError:  # the loop is closed: there is no campaign any more
                return

    def bind(self, journal: Journal, urgent: Callable[[Wish], None]) -> None:
        """For the campaign, in its loop: where the record is, and what to do with what cannot wait."""
        with self._lock:
            self._journal, self._urgent = journal, urgent
            self._loop, self._opened = asyncio.get_running_loop(), asyncio.Event()
            wish = self._wish
        if wish is not None:
            self._heard(wish)

    def repeat(self, recorded: Iterable[Event], clock: UtcClock) -> None:
        """For a campaign that is lived through again: want in the middle of experiments what was wanted then."""
        loop = asyncio.get_running_loop()
        for event in recorded:
            wish = _urgent_of(event)
            if wish is not None and wish.asked_s is not None:
                loop.call_at(clock.loop_time(wish.asked_s), self._act, wish)

    def between(self) -> Wish | None:
        """The wish to pause or to stop, if there is one now that an experiment is done. It is then taken."""
        event = self._next_recorded()
        if event is not None:
            return _calm_of(event)
        return self._take(("pause", "stop"))

    async def wait(self) -> Wish:
        """Wait for what the operator wants next: to continue, or an end. On a virtual loop time stands still."""
        loop = asyncio.get_running_loop()
        event = self._next_recorded()
        if event is not None:
            recorded = _calm_of(event) or _urgent_of(event)
            return await loop.create_future() if recorded is None else recorded  # else what ended it then ends it now
        if self._on_wait is not None:
            self._on_wait(True)
        try:
            while True:
                wish = self._take(("continue", "stop", "abort", "suspend", "cut"))
                if wish is not None:
                    return wish
                await self._until_asked(loop)
        finally:
            if self._on_wait is not None:
                self._on_wait(False)

    async def _until_asked(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._wish is not None and self._wish.verb not in ("pause", "hold"):
                return
            self._wish = None
            self._gate.clear()
            if self._opened is not None:
                self._opened.clear()
        if isinstance(loop, VirtualTimeLoop):
            await loop.run_in_executor(None, self._gate.wait)
            loop.set_speed(loop.speed)  # what has passed on the wall meanwhile is not to be caught up with
        elif self._opened is not None:
            await self._opened.wait()

    def _heard(self, wish: Wish) -> None:
        if self._opened is not None:
            self._opened.set()
        loop = asyncio.get_running_loop()
        if wish.verb not in URGENT or self._journal is None:
            return
        if isinstance(loop, VirtualTimeLoop):
            when_s = loop.time() + OWN_INSTANT_S
            loop.call_at(when_s, self._act_on_time, wish, when_s)
        else:
            self._act_on_time(wish, self._journal.now_s())

    def _act_on_time(self, wish: Wish, asked_s: float) -> None:
        with self._lock:
            if self._wish is not wish:
                return  # somebody who waited has taken it, or another one has come after it
            self._wish = None
        self._act(replace(wish, asked_s=asked_s))

    def _act(self, wish: Wish) -> None:
        if self._urgent is not None:
            self._urgent(wish)

    def _take(self, verbs: Iterable[Verb]) -> Wish | None:
        with self._lock:
            wish = self._wish
            if wish is None or wish.verb not in verbs:
                return None
            self._wish = None
            return wish

    def _next_recorded(self) -> Event | None:
        return None if self._journal is None else self._journal.next_stored()


def _calm_of(event: Event) -> Wish | None:
    """The wish behind an event that follows a wish at once."""
    data = event.data
    if event.kind == "paused":
        return Wish("pause", str(data["by"]))
    if event.kind == "continued":
        return Wish("continue", str(data["by"]))
    if event.kind == "stopping" and data.get("how") == "stop":
        return Wish("stop", str(data["by"]))
    return None


def _urgent_of(event: Event) -> Wish | None:
    """The wish behind an event that came in the middle of something."""
    data = event.data
    if event.kind == "held":
        return Wish("hold", str(data["by"]), bool(data["keep_temperature"]), data.get("asked_s"))
    if event.kind == "stopping" and data.get("how") == "abort":
        return Wish("abort", str(data["by"]), asked_s=data.get("asked_s"))
    if event.kind == "stopping" and data.get("how") == "suspend":
        return Wish("suspend", str(data["by"]), asked_s=data.get("asked_s"))
    return None


async def rest(
    rig: Rig,
    steering: Steering,
    wish: Wish,
    append: Append,
    forbids_flush: Forbids | None = None,
    *,
    counts_in_hold: bool = True,
) -> Wish:
    """Carry out a pause or a hold until it ends; returns what the operator wanted then.

    A pause brings the rig to its safe state by its whole safe sequence; a hold only stops the pumps, and the heater
    unless it is to be kept. Either is followed by a count, a hold only where every pump can be asked: what it broke off
    is debited otherwise. ``counts_in_hold``: False for runs of before that was so. Raises what a device raises that
    cannot be stopped.
    """
    if wish.verb == "pause":
        await append("paused", {"by": wish.by})

        async def report(step: str, ok: bool, detail: str) -> None:
            await append("idle_step", {"step": step, "ok": ok, "detail": detail})

        if not await make_safe(rig, report, forbids_flush=forbids_flush):
            raise RuntimeError("the rig did not come to its safe idle")
        await append("idle", {"reagent_ul": (await rig.count_what_answers())[0]})  # a pause may outlast the program
    else:
        await append("held", {"by": wish.by, "keep_temperature": wish.keep_temperature, "asked_s": wish.asked_s})
        await stop_pumps(rig)
        if not wish.keep_temperature:
            await rig.heater.heater_off()
        if counts_in_hold:
            used_ul, lost = await rig.count_what_answers()
            if not lost:
                await append("counted", {"reagent_ul": used_ul})
    began_s = asyncio.get_running_loop().time()
    then = await steering.wait()
    if then.verb == "continue":
        await append("continued", {"by": then.by})
    steering.idle_s += asyncio.get_running_loop().time() - began_s
    return then


def end_of(wish: Wish) -> Stop:
    """The end that an operator wants."""
    if wish.verb == "suspend":
        return Stop("suspended", f"suspended by {wish.by}", "suspend", wish.by, wish.asked_s)
    how = "stop" if wish.verb == "stop" else "abort"
    return Stop("operator", f"{'stopped' if how == 'stop' else 'aborted'} by {wish.by}", how, wish.by, wish.asked_s)
