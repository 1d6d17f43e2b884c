"""The guardian itself: starts the daemon, listens to its beats, and acts when it dies, hangs or falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.console.interrupts import ASKING, interrupted_by, never_suspended
from orchestrator.errors import EXIT_FAULT, EXIT_REFUSED
from orchestrator.guardian.beat import HERE_PERIOD_S, SILENCE_LIMIT_S, Messages, message
from orchestrator.guardian.child import Child
from orchestrator.guardian.diary import Diary, unsafe_rigs
from orchestrator.guardian.pulse import Pulse, Restarts
from orchestrator.guardian.rescue import Report, Rescued
from orchestrator.guardian.service import ServiceManager

LOOK_S: Final = 0.05
DEATH_S: Final = 3.0
"""So long a killed process may take to be gone; its ports are then tried all the same."""
STOP_WITHIN_S: Final = 900.0

Rescuer = Callable[[str, Report, asyncio.Event], Awaitable[Rescued]]
"""Brings the rig of this name to its safe state: (name, report, hurry) to how that ended. A flush is left out, or cut
short, once ``hurry`` is set."""

_IN_GOOD_ORDER: Final = (0, EXIT_REFUSED)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Orders:
    """What the guardian is to do. ``rigs``: names of the rigs that have hardware; ``command``: starts the daemon."""

    rigs: tuple[str, ...]
    command: tuple[str, ...]
    silence_s: float = SILENCE_LIMIT_S
    stop_within_s: float = STOP_WITHIN_S
    restarts: Restarts = field(default_factory=Restarts)


class Guardian:
    """One guardian over one daemon at a time."""

    def __init__(self, orders: Orders, rescuer: Rescuer, diary: Diary, service: ServiceManager) -> None:
        self._orders = orders
        self._rescuer = rescuer
        self._diary = diary
        self._service = service
        self._child: Child | None = None
        self._stops = 0
        self._stop_by_s: float | None = None
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Guard until the daemon has ended in good order, or must not be started again. Returns the exit code."""
        alive = asyncio.ensure_future(self._stay_alive())
        try:
            with self._signals(), never_suspended(asyncio.get_running_loop(), _log.warning):
                return await self._guard()
        finally:
            alive.cancel()
            self._service.stopping()
            await self._diary.close()

    async def make_safe_what_is_not(self, *, everything: bool = False) -> bool | None:
        """Rescue the rigs that an earlier guardian left unsafe (it was killed, or the power failed), or all of them.

        Returns whether all of it was confirmed; None where there was nothing to do.
        """
        known_unsafe = self._diary.readable and not everything
        left = unsafe_rigs(self._diary.events) if known_unsafe else self._orders.rigs
        known = [rig for rig in left if rig in self._orders.rigs]
        for rig in set(left) - set(known):
            _log.error("%s was left unsafe and is not among the rigs of today: nobody can make it safe", rig)
        cause = "left unsafe by an earlier guardian" if known_unsafe else "it is not known to be safe"
        return await self._rescue(known, cause) if known else None

    async def make_safe_and_end(self, *, everything: bool = False) -> bool | None:
        """As `make_safe_what_is_not`, with nothing to guard afterwards.

        It goes on when its terminal is gone. Who asks it to end leaves out flushes; who asks again leaves the rigs as
        they are.
        """
        rescue = asyncio.ensure_future(self.make_safe_what_is_not(everything=everything))

        def asked() -> None:
            if self._hurry.is_set():
                rescue.cancel()
            self._hurry.set()

        loop = asyncio.get_running_loop()
        with interrupted_by(loop, asked, hung_up=lambda: None), never_suspended(loop, _log.warning):
            try:
                return await rescue
            except asyncio.CancelledError:
                return False
            finally:
                await self._diary.close()

    async def _guard(self) -> int:
        paused = await self.make_safe_what_is_not() is not None
        loop = asyncio.get_running_loop()
        while not self._ending():
            await self._diary.settle()  # the daemon reads there what its syringes have lost
            command = [*self._orders.command, *(["--paused"] if paused else [])]
            try:
                child = self._child = Child(command)
            except OSError as error:
                _log.error("the daemon cannot be started: %s", error)
                return EXIT_REFUSED
            self._diary.note("daemon_started", pid=child.pid, paused=paused)
            pulse = Pulse(self._orders.silence_s)
            cause = await self._watch(child, pulse)
            began_s = loop.time()
            status = child.died()
            if not await child.put_down(DEATH_S):
                _log.error("the daemon does not die; its ports are tried all the same")
            child.reap()
            self._child = None
            self._diary.note("daemon_ended", cause=cause)
            well = await self._rescue(pulse.rigs, cause, began_s)
            if status in _IN_GOOD_ORDER and not pulse.rigs:
                return status
            if self._ending():
                break
            if not self._orders.restarts.allowed(loop.time()):
                self._diary.note("gave_up", cause=cause, well=well)
                break
            paused = True
        return EXIT_FAULT

    async def _watch(self, child: Child, pulse: Pulse) -> str:
        """Listen until the daemon is dead or must be killed; returns why."""
        loop = asyncio.get_running_loop()
        messages = Messages()
        said_s = loop.time()
        ready = False
        while True:
            self._hear(child, pulse, messages)
            now_s = loop.time()
            status = child.died()
            if status is not None:
                self._hear(child, pulse, messages)
                return _words(status)
            silent = pulse.silent(now_s, LOOK_S)
            if silent is not None:
                return f"the control loop of {silent[0]} was silent for {silent[1]:.2f} s"
            if self._stop_by_s is not None and now_s > self._stop_by_s:
                return f"it did not stop within {self._orders.stop_within_s:g} s"
            if self._stops > 2:
                return "the operator would not wait"
            if pulse.ready and not ready:
                ready = True
                self._service.ready()
                self._diary.note("ready")
            if now_s - said_s >= HERE_PERIOD_S:
                said_s = now_s
                with contextlib.suppress(OSError):
                    child.connection.send(message("here"))
            await asyncio.sleep(LOOK_S)

    def _hear(self, child: Child, pulse: Pulse, messages: Messages) -> None:
        """Take in everything that has arrived."""
        with contextlib.suppress(OSError):
            while data := child.connection.recv(65536):
                for words in messages.fed(data):
                    before = pulse.rigs
                    pulse.note(asyncio.get_running_loop().time(), words)
                    for rig in set(pulse.rigs) - set(before):
                        self._diary.note("began", rig=rig)
                    for rig in set(before) - set(pulse.rigs):
                        self._diary.note("ended", rig=rig)

    async def _rescue(self, rigs: Sequence[str], cause: str, began_s: float | None = None) -> bool:
        """Bring rigs to their safe state, all at once. Returns whether all of it was confirmed."""
        loop = asyncio.get_running_loop()
        began_s = loop.time() if began_s is None else began_s
        self._service.status(f"making safe: {cause}" if rigs else cause)
        for rig in rigs:
            self._diary.note("rescue", rig=rig, cause=cause)
        well = await asyncio.gather(*(self._rescue_one(rig, began_s) for rig in rigs))
        return all(well)

    async def _rescue_one(self, rig: str, began_s: float) -> bool:
        def report(step: str, ok: bool, detail: str) -> None:
            after_s = round(asyncio.get_running_loop().time() - began_s, 3)
            self._diary.note("safe_step", rig=rig, step=step, ok=ok, detail=detail, after_s=after_s)

        try:
            rescued = await self._rescuer(rig, report, self._hurry)
        except Exception as error:  # noqa: BLE001 - a defect of one rig's rescue must not spare the others
            report("rescue", False, f"{type(error).__name__}: {error}")
            rescued = Rescued(well=False)
        self._diary.note("made_safe", rig=rig, well=rescued.well, infused_ul=dict(rescued.infused_ul))
        return rescued.well

    async def _stay_alive(self) -> None:
        period_s = 1.0 if self._service.watchdog_s is None else self._service.watchdog_s / 4.0
        while True:
            self._service.alive()
            await asyncio.sleep(period_s)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Hand the signals that are meant for the daemon on to it, and remember those that ask for an end."""
        loop = asyncio.get_running_loop()
        kinds = (*ASKING, signal.SIGHUP)
        for kind in kinds:
            loop.add_signal_handler(kind, self._signalled, kind)
        try:
            yield
        finally:
            for kind in kinds:
                loop.remove_signal_handler(kind)

    def _ending(self) -> bool:
        """Whether the operator or the system has asked for an end."""
        return self._stops > 0

    def _signalled(self, kind: signal.Signals) -> None:
        if kind is not signal.SIGHUP:
            self._stops += 1
            if self._stops == 1:
                self._stop_by_s = asyncio.get_running_loop().time() + self._orders.stop_within_s
            else:
                self._hurry.set()
        if self._child is not None:
            self._child.signal(kind)


def _words(status: int) -> str:
    if status < 0:
        return f"the daemon was ended by {signal.Signals(-status).name}"
    return f"the daemon ended with status {status}"
