"""Deterministic fault simulation: seeded campaigns in which devices, buses, the disk and the operator all misbehave.

    python -m tests.benchmarks.dst --seeds 1000 --jobs 2
    python -m tests.benchmarks.dst --only 17

Each seed draws a short campaign, faults of the rig file's kinds at random times, perhaps a disk that fails, an operator
who pauses, holds, stops, aborts or interrupts, and an MQTT broker that comes and goes, and runs it in virtual time.
Whatever happens:

* no device is ever told a flow, a total flow or a temperature above the rig's limits;
* no experiment is told twice, and the journal can be read to its last acknowledged record;
* the run ends; the twins are then safe, or the journal names the step that could not be taken, and the device that it
  concerns was out of reach;
* the ledger of reagents equals what the twins' plungers moved, within its tolerance;
* the same seed gives the same journal, with the broker and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiomqtt

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.deciders import LiveDecider
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.campaign.steering import Steering, Verb, Wish
from orchestrator.clock.virtual_time import UtcClock, blocking_clock, run_virtual
from orchestrator.daemon.edges import MqttConfig
from orchestrator.daemon.edges.mqtt import MqttEdge
from orchestrator.errors import JournalError
from orchestrator.history.fold import fold
from orchestrator.journal.journal import Event, Journal
from orchestrator.processes import as_they_end
from orchestrator.rig.build import build_rig
from orchestrator.rig.tracing import RecordingTracer
from tests.benchmarks.dst_invariants import GRACE_S, Report, check_ledger, check_limits, check_safety
from tests.benchmarks.dst_plans import Asked, Plan, campaign_of, plan_of
from tests.crash.disk import FULL, IO_ERRORS, Op, disk
from tests.crash.power_loss import scratch
from tests.orchestrator.daemon.edges.brokers import Lone

LONGEST_S = 3.0 * 86_400.0


class Operator:
    """Asks what the plan says, and goes on from every pause and hold."""

    def __init__(self, plan: Plan) -> None:
        self.steering = Steering(self._waits)
        self._plan = plan
        self._then: Verb = "continue"

    def schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        for asked in self._plan.commands:
            loop.call_at(asked.at_s, self._ask, asked)

    def _ask(self, asked: Asked) -> None:
        self._then = asked.then
        self.steering.ask(Wish(asked.verb, "the simulation", asked.keep_temperature))

    def _waits(self, waiting: bool) -> None:
        if waiting:
            self.steering.ask(Wish(self._then, "the simulation"))


class FlakyClient:
    """A client of a broker that refuses, breaks off and dawdles, by the draws of its seed."""

    def __init__(self, draws: random.Random) -> None:
        self._draws = draws
        self.messages = self._until_it_breaks()

    async def __aenter__(self) -> FlakyClient:
        await asyncio.sleep(self._draws.uniform(0.0, 5.0))
        if self._draws.random() < 0.4:
            raise aiomqtt.MqttError("refused")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing is kept."""

    async def publish(self, topic: str, payload: str, qos: int = 0, retain: bool = False) -> None:
        await asyncio.sleep(self._draws.choice((0.0, 0.001, 0.05, 2.0)))
        if self._draws.random() < 0.03:
            raise aiomqtt.MqttError("broken off")

    async def subscribe(self, topic: str, qos: int = 0) -> None:
        """Nobody commands."""

    async def _until_it_breaks(self) -> AsyncIterator[Any]:
        await asyncio.sleep(self._draws.expovariate(1.0 / 400.0))
        raise aiomqtt.MqttError("broken off")
        yield None


class FlakyEdge(MqttEdge):
    """The daemon's own MQTT edge, on that broker."""

    def __init__(self, seed: int) -> None:
        self.conductor = Lone()
        super().__init__(MqttConfig(), self.conductor)
        self._draws = random.Random(f"broker {seed}")

    def _client(self) -> Any:
        return FlakyClient(self._draws)

    def heard(self, event: Event) -> None:
        """Publish an event as the daemon does."""
        said = {"run": "a", "seq": event.seq, "kind": event.kind, "data": event.data}
        self.conductor.feed.publish("bench", "event", said, t_s=event.t_s, utc=event.utc)


def simulate(plan: Plan, *, broker: bool = True) -> Report:
    """Run one seed and hold it against the invariants."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name, contextlib.ExitStack() as stack:
        path = Path(name) / "run.sqlite"
        seen = stack.enter_context(disk()) if plan.disk is not None else None
        return run_virtual(_simulate(plan, path, seen, broker))


async def _simulate(plan: Plan, path: Path, seen: Any, broker: bool) -> Report:
    loop = asyncio.get_running_loop()
    loose: list[str] = []
    loop.set_exception_handler(lambda _, context: loose.append(str(context.get("exception") or context["message"])))
    clock = UtcClock(loop)
    loaded = campaign_of(plan)
    acknowledged: list[Event] = []
    words = ""
    operator = Operator(plan)
    edge = FlakyEdge(plan.seed) if broker else None
    telling = asyncio.ensure_future(edge.run()) if edge is not None else None

    def hear(event: Event) -> None:
        acknowledged.append(event)
        if edge is not None:
            edge.heard(event)

    with Journal.create(path, clock) as journal:
        if seen is not None and plan.disk is not None:
            _let_fail(seen, *plan.disk)
        tracer = RecordingTracer(journal, clock)
        rig = build_rig(loaded, tracer, hardware=False, clock=blocking_clock(loop), start_s=loop.time())
        campaign = Campaign(
            loaded,
            rig,
            journal,
            LiveDecider(loaded),
            header=header_of(loaded, Overrides(), hardware=False),
            on_event=hear,
            steering=operator.steering,
        )
        operator.schedule(loop)
        for at_s in plan.interrupts_s:
            loop.call_at(at_s, campaign.interrupt)
        faults_until_stop = rig.faults
        try:
            await asyncio.wait_for(campaign.run(), LONGEST_S)
        except JournalError as error:
            words = str(error)
        except TimeoutError:
            loose.append("the run did not end")
        except Exception as error:  # noqa: BLE001 - the campaign may raise nothing else
            loose.append(f"the campaign raised {type(error).__name__}: {error}")
        ended_s = loop.time()
        if telling is not None:
            if telling.done():
                loose.append(f"the telemetry ended: {telling.exception()!r}")
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if seen is not None:
            seen.fails = lambda number, op: 0
        await asyncio.sleep(GRACE_S)
    with Journal.open(path, readonly=True) as journal:
        events = tuple(journal.events())
        digest = hashlib.sha256(journal.dump().encode()).hexdigest()[:16]
    state = fold(events)
    told = [event.data["n"] for event in events if event.kind == "told"]
    report = Report(
        plan.seed,
        (words and "journal lost") or str(state.stop_reason),
        state.safe,
        len(told),
        tuple(str(trip["interlock"]) for trip in state.trips),
        digest,
        wrong=loose,
    )
    if [event.hash for event in events][: len(acknowledged)] != [event.hash for event in acknowledged]:
        report.wrong.append("an acknowledged record is lost")
    if len(set(told)) != len(told) or (not words and not state.ended):
        report.wrong.append(f"told {told}, ended {state.ended}")
    check_limits(rig, report)
    check_safety(rig, report, faults_until_stop, ended_s, loop.time(), state.safe_steps, bool(words))
    if not words:
        uncounted = next((event.data.get("uncounted", ()) for event in events if event.kind == "ended"), ())
        check_ledger(rig, report, state.reagent_ul, ended_s, uncounted)
    return report


def _let_fail(seen: Any, at: int, full: bool) -> None:
    """Have the disk fail at an operation, once or for good."""
    seen.log.clear()

    def fails(number: int, op: Op) -> int:
        if number < at or (number > at and not full):
            return 0
        return IO_ERRORS[op.kind] if not full else FULL if op.kind == "write" else 0

    seen.fails = fails


def checked(seed: int, *, again: bool) -> Report:
    """One seed, perhaps twice, to see that it repeats."""
    with _hushed("drivers.recovery", "pymodbus", "asyncio", "lumiflow.mqtt"):
        plan = plan_of(seed)
        report = simulate(plan)
        if again and simulate(plan, broker=False).digest != report.digest:
            report.wrong.append("the same seed gave another journal")
    return report


@contextlib.contextmanager
def _hushed(*names: str) -> Iterator[None]:
    """Every fault is logged; here that is only noise."""
    logs = [logging.getLogger(name) for name in names]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def _task(seed: int) -> Report:
    return checked(seed, again=seed % 10 == 0)


def main() -> None:
    """Run the seeds and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, help="run one seed, twice, and show its plan")
    parser.add_argument("--results", type=Path, help="append one line of JSON per seed")
    options = parser.parse_args()
    if options.only is not None:
        print(plan_of(options.only))
        print(checked(options.only, again=True))
        return
    began = time.monotonic()
    stops: Counter[str] = Counter()
    bad: list[Report] = []
    worst = 0.0
    seeds = range(options.first, options.first + options.seeds)
    with contextlib.closing(as_they_end(_task, seeds, options.jobs)) as reports:
        for report in reports:
            stops[report.stop] += 1
            worst = max(worst, report.off_ul)
            if report.wrong:
                bad.append(report)
                print(f"seed {report.seed}: {'; '.join(report.wrong)}", file=sys.stderr, flush=True)
            if options.results is not None:
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(report)) + "\n")
    print(
        f"{len(seeds)} seeded campaigns in {time.monotonic() - began:.0f} s: {len(bad)} broke an invariant; "
        f"{', '.join(f'{n} {stop}' for stop, n in stops.most_common())}; ledger off by at most {worst:.2f} µL"
    )
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
