"""The bench of devices that are held open, on twins in paced virtual time: idle, a campaign, a trip, a suspension."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.campaign.steering import Wish
from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from orchestrator.daemon.bench import Assignment, Finished
from orchestrator.daemon.steel import SteelBench
from orchestrator.daemon.telemetry import Reading
from orchestrator.guardian import Heart
from orchestrator.journal.journal import Event
from orchestrator.rig.build import build_rig
from orchestrator.rig.devices import Tracer
from orchestrator.rig.rig import Rig
from tests.orchestrator.rehearsal import small

SPEED = 400.0
PATIENCE_S = 90.0


class Heard:
    """A listener that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events: list[Event] = []
        self.finishes: list[Finished] = []
        self.trips: list[Mapping[str, Any]] = []
        self.faults: list[str | None] = []
        self.devices: dict[str, Reading] = {}
        self.on_event: Callable[[Event], None] = lambda event: None

    def event(self, job: str, event: Event) -> None:
        self._note(self.events, event)
        self.on_event(event)

    def reading(self, device: str, reading: Reading, due: bool) -> None:
        with self.changed:
            self.devices[device] = reading
            self.changed.notify_all()

    def waiting(self, job: str, waiting: bool) -> None:
        pass

    def finished(self, finished: Finished) -> None:
        self._note(self.finishes, finished)

    def tripped(self, trip: Mapping[str, Any]) -> None:
        self._note(self.trips, trip)

    def rig(self, fault: str | None) -> None:
        self._note(self.faults, fault)

    def _note(self, where: list[Any], what: Any) -> None:
        with self.changed:
            where.append(what)
            self.changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S)


class Held:
    """A bench with its twins, and what they were last told."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.rigs: list[Rig] = []
        self.bench = SteelBench(
            "bench", self._build, self.heard, Heart(None), run=lambda live: run_virtual(live, speed=SPEED)
        )

    def _build(self, tracer: Tracer) -> Rig:
        loop = asyncio.get_running_loop()
        self.rigs.append(build_rig(small(), tracer, hardware=False, clock=blocking_clock(loop), start_s=loop.time()))
        return self.rigs[-1]

    def __enter__(self) -> Held:
        self.bench.start()
        self.heard.until(lambda: self.heard.faults == [None])
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.bench.close()

    def assign(self, path: Path, *, experiments: int = 1, resume: bool = False) -> None:
        loaded = small(experiments)
        self.bench.begin(Assignment("job", loaded, path, resume))

    def finish(self, count: int = 1) -> Finished:
        self.heard.until(lambda: len(self.heard.finishes) == count)
        return self.heard.finishes[-1]

    @property
    def still(self) -> bool:
        """Whether the devices were last told to stand still and cold."""
        flows = [self.heard.devices[pump].values["flow_ul_min"] for pump in ("cs", "pb", "halide", "solvent")]
        return not any(flows) and self.heard.devices["oven"].values.get("output_fraction", 0.0) == 0.0


def test_devices_stay_open_between_campaigns_and_are_watched_while_nothing_runs(tmp_path: Path) -> None:
    with Held() as held:
        held.assign(tmp_path / "first.sqlite")
        first = held.finish(1)
        held.assign(tmp_path / "second.sqlite")
        second = held.finish(2)
        read_s = held.heard.devices["oven"].t_s
        held.heard.until(lambda: held.heard.devices["oven"].t_s > read_s)
        assert held.still
    assert first.state is not None and second.state is not None
    assert [first.state.stop_reason, second.state.stop_reason] == ["budget_experiments"] * 2
    assert len(held.rigs) == 1
    told = second.state.told[-1].reagent_ul
    assert all(volume >= 0.0 for volume in told.values())
    assert second.state.safe is True


def test_a_trip_while_nothing_runs_is_made_safe_told_and_latched_until_cleared(tmp_path: Path) -> None:
    from simulators.faults import Fault, FaultKind

    with Held() as held:
        loop = held.bench._loop
        assert loop is not None

        def unplug() -> None:
            fault = Fault(FaultKind.SILENCE, "oven", loop.time(), 120.0)
            held.rigs[0].faults.schedule(loop, [fault])

        loop.call_soon_threadsafe(unplug)
        held.heard.until(lambda: bool(held.heard.trips))
        assert held.heard.trips[0]["interlock"] in ("lost device", "stale reading")
        held.bench.clear()
        held.heard.until(lambda: held.heard.faults[-1] is None and len(held.heard.faults) > 1)
        held.assign(tmp_path / "after.sqlite")
        finished = held.finish()
        assert finished.state is not None
        assert finished.state.stop_reason == "budget_experiments"


def test_closing_in_the_middle_of_a_campaign_suspends_it_safely_and_it_resumes(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    reached = threading.Event()
    with Held() as held:
        held.heard.on_event = lambda event: reached.set() if event.kind == "settled" else None
        held.assign(path, experiments=2)
        assert reached.wait(PATIENCE_S)
    finished = held.heard.finishes[0]
    assert finished.left
    assert finished.state is not None
    assert finished.state.stop_reason == "suspended"
    assert finished.state.safe is True
    with Held() as again:
        again.assign(path, experiments=2, resume=True)
        ended = again.finish()
    assert ended.state is not None
    assert [experiment.n for experiment in ended.state.told] == [1, 2]
    assert ended.state.experiments[0].attempts == 2


def test_a_hold_stops_the_pumps_of_devices_that_stay_watched(tmp_path: Path) -> None:
    with Held() as held:
        heard = held.heard

        def on_event(event: Event) -> None:
            if event.kind == "settled" and not any(e.kind == "held" for e in heard.events):
                held.bench.ask(Wish("hold", "ada"))

        heard.on_event = on_event
        held.assign(tmp_path / "run.sqlite")
        heard.until(lambda: any(event.kind == "held" for event in heard.events))
        heard.on_event = lambda event: None
        held.bench.ask(Wish("continue", "ada"))
        finished = held.finish()
    assert finished.state is not None
    assert [event.kind for event in heard.events].count("dosing") == 2
    assert [experiment.n for experiment in finished.state.told] == [1]
