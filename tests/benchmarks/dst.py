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
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from orchestrator.build import build_rig
from orchestrator.campaign import Campaign
from orchestrator.config import LoadedCampaign
from orchestrator.daemon.edges import MqttConfig
from orchestrator.daemon.edges.mqtt import MqttEdge
from orchestrator.deciders import LiveDecider
from orchestrator.errors import JournalError
from orchestrator.fold import fold
from orchestrator.header import Overrides, header_of
from orchestrator.journal import Event, Journal
from orchestrator.rig import Rig
from orchestrator.steering import Steering, Verb, Wish
from orchestrator.tracing import RecordingTracer
from orchestrator.virtual_time import UtcClock, blocking_clock, run_virtual
from tests.crash.disk import FULL, IO_ERRORS, Op, disk
from tests.crash.power_loss import scratch
from tests.orchestrator.daemon.edges.brokers import Lone
from tests.orchestrator.rehearsal import small

PUMPS = ("cs", "pb", "halide", "solvent")
EXPERIMENT_S = 1200.0  # about
LONGEST_S = 3.0 * 86_400.0
GRACE_S = 180.0
"""A pump that nobody could reach has stopped by then: its watchdog's 30 s, or its bounded volume."""
HEAT_MARGIN_K = 2.0
"""The twin's block may swing so far above the limit of its set-point before its controller has it back."""

PORT_FAULTS = ("garbage", "dropped", "late", "silence", "port_loss")
DEVICE_FAULTS = {
    "pump_stall": PUMPS,
    "syringe_empty": PUMPS,
    "power_blip": PUMPS,
    "leak": ("reactor", *PUMPS),
    "clog": ("reactor",),
    "bubble": ("spectrometer",),
    "sensor_break": ("oven",),
    "sensor_detached": ("oven",),
    "relay_welded": ("oven",),
    "saturation": ("spectrometer",),
    "lamp_drift": ("spectrometer",),
    "fouling": ("spectrometer",),
    "broken_wire": ("mixer_pressure",),
    "usb_unplug": ("spectrometer",),
    "usb_hang": ("spectrometer",),
}
SIZES = {
    "garbage": ("share", 0.1, 30.0, "%"),
    "dropped": ("share", 1.0, 50.0, "%"),
    "late": ("delay", 0.1, 3.0, "s"),
    "leak": ("share", 10.0, 90.0, "%"),
    "clog": ("doubling", 1.0, 60.0, "s"),
}


@dataclass(frozen=True)
class Asked:
    """A command of the operator, and what is asked once the campaign waits because of it."""

    at_s: float
    verb: Verb
    keep_temperature: bool
    then: Verb


@dataclass(frozen=True)
class Plan:
    """What goes wrong in one seed. ``disk``: the operation that fails, whether for good, or None."""

    seed: int
    experiments: int
    faults: tuple[str, ...]
    interrupts_s: tuple[float, ...]
    commands: tuple[Asked, ...]
    disk: tuple[int, bool] | None


def plan_of(seed: int) -> Plan:
    """The misfortunes of a seed."""
    draws = random.Random(f"fault simulation {seed}")
    experiments = draws.choice((1, 2, 2, 3))
    horizon_s = 300.0 + EXPERIMENT_S * experiments
    faults = tuple(_fault(draws, horizon_s) for _ in range(draws.choice((0, 1, 1, 2, 2, 3, 4))))
    interrupts = sorted(draws.uniform(0.0, horizon_s) for _ in range(draws.choice((0, 0, 0, 1, 1, 2))))
    if len(interrupts) == 2 and draws.random() < 0.5:
        interrupts[1] = interrupts[0] + draws.uniform(0.0, 30.0)
    commands = tuple(_command(draws, horizon_s) for _ in range(draws.choice((0, 0, 1, 1, 2, 3))))
    fails = (draws.randrange(420), draws.random() < 0.5) if draws.random() < 0.25 else None
    return Plan(seed, experiments, faults, tuple(interrupts), commands, fails)


def _command(draws: random.Random, horizon_s: float) -> Asked:
    verb: Verb = draws.choice(("pause", "pause", "hold", "hold", "stop", "abort"))
    then: Verb = draws.choice(("continue", "continue", "continue", "stop", "abort"))
    return Asked(draws.uniform(0.0, horizon_s), verb, draws.random() < 0.5, then)


def _fault(draws: random.Random, horizon_s: float) -> str:
    """One entry for the rig file's ``faults:``."""
    if draws.random() < 0.45:
        kind, place = draws.choice(PORT_FAULTS), f"port: {draws.choice(('pumps', 'oven'))}"
    else:
        kind = draws.choice(sorted(DEVICE_FAULTS))
        place = f"device: {draws.choice(DEVICE_FAULTS[kind])}"
    if kind == "clog" or (kind == "leak" and place == "device: reactor"):
        place = ""
    words = [f"fault: {kind}", *([place] if place else []), f"at: {draws.uniform(0.0, horizon_s):.1f} s"]
    if kind not in ("power_blip", "syringe_empty") and draws.random() < 0.8:
        words.append(f"duration: {draws.choice((2.0, 8.0, 20.0, 45.0, 200.0, 1500.0)) * draws.uniform(0.5, 1.5):.1f} s")
        if draws.random() < 0.25:
            words.append(f"every: {draws.uniform(200.0, 2500.0):.0f} s")
    if kind in SIZES:
        name, low, high, unit = SIZES[kind]
        words.append(f"{name}: {draws.uniform(low, high):.2f} {unit}")
    return "{" + ", ".join(words) + "}"


def campaign_of(plan: Plan) -> LoadedCampaign:
    """The quickstart campaign with these faults in its rig file."""
    lines = "".join(f"    - {fault}\n" for fault in plan.faults)
    section = f"  faults:\n{lines}" if lines else ""
    return small(
        plan.experiments,
        **{
            "  ambient: 25 degC\n": f"  ambient: 25 degC\n  fault_seed: {plan.seed}\n{section}",
            "seed: 1 #": f"seed: {plan.seed} #",
        },
    )


@dataclass
class Report:
    """What one seed came to. ``digest``: of the journal; equal for equal runs. ``wrong``: broken invariants."""

    seed: int
    stop: str
    safe: bool | None
    told: int
    trips: tuple[str, ...]
    digest: str
    off_ul: float = 0.0
    wrong: list[str] = field(default_factory=list)


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
    _check_limits(rig, report)
    _check_safety(rig, report, plan, faults_until_stop, ended_s, loop.time(), state.safe_steps, bool(words))
    if not words:
        uncounted = next((event.data.get("uncounted", ()) for event in events if event.kind == "ended"), ())
        _check_ledger(rig, report, state.reagent_ul, ended_s, uncounted)
    return report


def _let_fail(seen: Any, at: int, full: bool) -> None:
    """Have the disk fail at an operation, once or for good."""
    seen.log.clear()

    def fails(number: int, op: Op) -> int:
        if number < at or (number > at and not full):
            return 0
        return IO_ERRORS[op.kind] if not full else FULL if op.kind == "write" else 0

    seen.fails = fails


def _check_limits(rig: Rig, report: Report) -> None:
    """What the twins were told from first to last, as their plungers and their heater remember it."""
    limits, world = rig.config.limits, rig.faults.world
    orders: list[tuple[float, str, float]] = []
    for name, pump in rig.pumps.items():
        syringe = world.syringe(name)
        highest = max(syringe._flows)
        if highest > pump.flow_range_ul_min[1] * (1.0 + 1e-6) or min(syringe._flows) < 0.0:
            report.wrong.append(f"{name} was told {highest:g} µL/min")
        orders += [(t_s, name, flow) for t_s, flow in zip(syringe._times, syringe._flows, strict=True)]
    flows = dict.fromkeys(rig.pumps, 0.0)
    for _, name, flow in sorted(orders, key=lambda order: order[0]):
        flows[name] = flow
        if sum(flows.values()) > limits.total_flow_ul_min[1] * (1.0 + 1e-6):
            report.wrong.append(f"all pumps together were told {sum(flows.values()):g} µL/min")
            break
    set_points = [set_point for set_point, automatic in world.block._commands if automatic]
    if set_points and max(set_points) > limits.temperature_c[1] + 1e-6:
        report.wrong.append(f"the heater was told {max(set_points):g} °C")
    faulty = {str(fault.kind) for fault in rig.faults.injected} & {"relay_welded", "sensor_detached", "sensor_break"}
    hottest = max(world.block._block)
    if not faulty and hottest > limits.temperature_c[1] + HEAT_MARGIN_K:
        report.wrong.append(f"the block reached {hottest:.1f} °C")


def _check_safety(
    rig: Rig,
    report: Report,
    plan: Plan,
    faults: Any,
    ended_s: float,
    now_s: float,
    steps: tuple[Any, ...],
    unjournalled: bool,
) -> None:
    """Heater off and pumps still; else the journal names the step, and a fault kept the device from being told."""
    world = rig.faults.world
    failed = {str(step["step"]) for step in steps if not step["ok"]}
    broken = {str(fault.kind) for fault in faults.injected}
    unreachable = broken & set(PORT_FAULTS)
    running = [name for name in rig.pumps if world.syringe(name).commanded_ul_min != 0.0]
    if running:
        report.wrong.append(f"{running} still run {GRACE_S:g} s after the end")
    heating = world.block.output_fraction(now_s) > 0.0
    if heating and not (unreachable and ("heaters_off" in failed or unjournalled)):
        report.wrong.append("the heater is on, and the journal does not say why")
    if failed and not broken:
        report.wrong.append(f"{sorted(failed)} failed without a fault")
    if not unjournalled and report.safe is not (not failed):
        report.wrong.append(f"the journal says safe: {report.safe}; failed steps: {sorted(failed)}")


def _check_ledger(rig: Rig, report: Report, counted_ul: Any, ended_s: float, uncounted: Any) -> None:
    """Counted volumes against the plungers' travel; of a pump that was lost the ledger may only say too much.

    After a power blip it counts all that the pump can have infused since it was last asked, and says how much that is.
    """
    world = rig.faults.world
    for name, pump in rig.pumps.items():
        syringe = world.syringe(name)
        moved = syringe.infused_ul(ended_s)
        counted = counted_ul.get(name, 0.0)
        orders = sum(1 for flow in syringe._flows if flow > 0.0)
        off = counted - moved
        if name in uncounted and off > 0.0:
            continue
        report.off_ul = max(report.off_ul, abs(off), key=abs)
        slack_ul = 2.0 + 0.5 * orders + 0.005 * moved
        doubtful_ul = 0.0 if pump.newest is None else pump.newest.lost_ul
        if not -slack_ul <= off <= slack_ul + doubtful_ul:
            report.wrong.append(f"{name}: the ledger says {counted:.1f} µL, the plunger moved {moved:.1f} µL")


def checked(seed: int, *, again: bool) -> Report:
    """One seed, perhaps twice, to see that it repeats."""
    for name in ("drivers.recovery", "pymodbus", "asyncio", "lumiflow.mqtt"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    plan = plan_of(seed)
    report = simulate(plan)
    if again and simulate(plan, broker=False).digest != report.digest:
        report.wrong.append("the same seed gave another journal")
    return report


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
    with ProcessPoolExecutor(options.jobs) as pool:
        for report in pool.map(_task, seeds, chunksize=1):
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
