"""The bench of real devices: held open, watched and beating from one loop for as long as the daemon lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.steering import Steering, Wish
from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.daemon.bench import Assignment, Finished, Listener, MakeDecider, outcome_of, sitting_of, stamp
from orchestrator.daemon.telemetry import PACED_PERIOD_S, Tap
from orchestrator.guardian import keep_beating
from orchestrator.rig.rig import make_safe
from orchestrator.rig.tracing import Unrecorded
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip, behind
from orchestrator.sittings.sitting import Company, sit, start_of

if TYPE_CHECKING:
    from orchestrator.guardian import Heart
    from orchestrator.history.run_state import RunState
    from orchestrator.journal.journal import Journal
    from orchestrator.rig.devices import Tracer
    from orchestrator.rig.rig import Rig

RETRY_S = 10.0
"""Between tries to connect a rig that does not answer."""

_log = logging.getLogger("lumiflow.bench")


class SwitchTracer:
    """A tracer whose calls go wherever they belong now: to a campaign's journal, or only to those who watch."""

    def __init__(self, inner: Tracer) -> None:
        self.inner = inner

    async def call(self, device: str, verb: str, args: Any, action: Any) -> Any:
        """The present tracer's."""
        return await self.inner.call(device, verb, args, action)

    def store(self, data: bytes) -> str:
        """The present tracer's."""
        return self.inner.store(data)

    def load(self, address: str) -> bytes:
        """The present tracer's."""
        return self.inner.load(address)


class SteelBench:
    """Real devices behind a control thread. ``heart``: tells the guardian that the thread's loop still turns.

    ``build``: makes the rig, not yet connected, for a tracer. ``run``: runs the thread's loop.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[Tracer], Rig],
        listener: Listener,
        heart: Heart,
        *,
        decider: MakeDecider | None = None,
        run: Callable[[Coroutine[Any, Any, None]], None] = run_real,
    ) -> None:
        self._name = name
        self._build = build
        self._listener = listener
        self._heart = heart
        self._decider = decider
        self._run_loop = run
        self._thread = threading.Thread(target=self._run, name=f"control of {name}")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._assignment: Assignment | None = None
        self._steering: Steering | None = None
        self._cleared = False
        self._closing = False

    # -- from any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """See `Bench`."""
        self._thread.start()

    def begin(self, assignment: Assignment) -> None:
        """See `Bench`."""
        with self._lock:
            self._steering = Steering(lambda waiting: self._listener.waiting(assignment.job, waiting))
            if assignment.first is not None:
                self._steering.ask(assignment.first)
            if self._closing:
                self._steering.ask(Wish("suspend", "the daemon"))
            self._assignment = assignment
        self._rouse()

    def ask(self, wish: Wish) -> None:
        """See `Bench`."""
        with self._lock:
            steering = self._steering
        if steering is not None:
            steering.ask(wish)

    def clear(self) -> None:
        """See `Bench`."""
        self._cleared = True
        self._rouse()

    def close(self) -> None:
        """See `Bench`. A campaign that sits is suspended: the rig goes through its safe sequence first."""
        with self._lock:
            self._closing = True
        self.ask(Wish("suspend", "the daemon"))
        self._rouse()
        if self._thread.is_alive():
            self._thread.join()

    def _rouse(self) -> None:
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is to be roused
                loop.call_soon_threadsafe(changed.set)

    # -- in the control thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._run_loop(self._live())
        except Exception as error:  # noqa: BLE001 - the beats stop with the loop: the guardian makes the rig safe
            _log.exception("%s: the control loop has ended", self._name)
            self._listener.rig(f"the control loop has ended: {type(error).__name__}: {error}")

    async def _live(self) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        clock = UtcClock(self._loop)
        watching = Tap(Unrecorded(), lambda: stamp(clock), self._listener.reading, PACED_PERIOD_S)
        switch = SwitchTracer(watching)
        self._heart.begin(self._name)
        beating = asyncio.ensure_future(keep_beating(self._heart, self._name))
        try:
            rig = self._build(switch)
            while await self._connected(rig):
                await self._watch(rig, switch, watching)
            well = await make_safe(rig, self._report, hurry=True)
            await rig.close()
            if well:
                self._heart.end(self._name)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _connected(self, rig: Rig) -> bool:
        """Connect and make safe, however long that takes. False when the bench closes meanwhile."""
        while not self._closing:
            try:
                await rig.connect()
                if not await make_safe(rig, self._report, hurry=True):
                    raise RuntimeError("the safe sequence did not complete")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._listener.rig(f"the rig does not answer: {type(error).__name__}: {error}")
                await self._until_changed(RETRY_S)
            else:
                self._listener.rig(None)
                return True
        return False

    async def _watch(self, rig: Rig, switch: SwitchTracer, watching: Tracer) -> None:
        """Campaigns under interlocks that never look away, until a person has cleared a trip or the bench closes."""
        interlocks = Interlocks(rig)

        async def tripped(trip: Trip) -> None:
            if self._assignment is not None:
                return  # the campaign that sits hears of it too, makes safe and writes it down
            self._listener.tripped({**asdict(trip), **behind(trip, interlocks.trip)})
            await make_safe(rig, self._report, hurry=True)

        self._cleared = False
        interlocks.start(tripped)
        try:
            while not self._closing and not (self._cleared and interlocks.trip is not None):
                if self._assignment is None:
                    await self._until_changed(None)
                    self._cleared = self._cleared and interlocks.trip is not None  # what has not tripped is not cleared
                    continue
                finished = await self._sit(rig, switch, self._assignment, interlocks)
                switch.inner = watching
                with self._lock:
                    self._assignment = self._steering = None
                self._listener.finished(finished)
        finally:
            await interlocks.stop(tripped)

    async def _sit(self, rig: Rig, switch: SwitchTracer, assignment: Assignment, interlocks: Interlocks) -> Finished:
        async def sitting() -> RunState:
            start_s = start_of(assignment.journal) if assignment.resume else 0.0
            plan = sitting_of(assignment, hardware=True, exactly=False, start_s=start_s)

            def tap(tracer: Tracer, clock: UtcClock, journal: Journal) -> Tracer:
                return Tap(tracer, lambda: stamp(clock), self._listener.reading, PACED_PERIOD_S)

            def held(tracer: Tracer) -> Rig:
                switch.inner = tracer
                return rig

            company = Company(
                on_event=lambda event: self._listener.event(assignment.job, event),
                steering=self._steering,
                decider=self._decider,
                watch_tracer=tap,
                rig=held,
                interlocks=interlocks,
            )
            return (await sit(plan, company))[0]

        return await outcome_of(assignment, sitting())

    async def _until_changed(self, timeout_s: float | None) -> None:
        assert self._changed is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        self._changed.clear()

    async def _report(self, step: str, ok: bool, detail: str) -> None:
        _log.log(logging.INFO if ok else logging.ERROR, "%s: %s: %s", self._name, step, detail)
