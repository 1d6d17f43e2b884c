"""Drills for the interlocks: harm done to a rig at work, and the trip that must follow.

A drill that needs a fault in the device itself runs on twins only, or by the hand of a person. One that changes only
what the interlocks hold the readings against, or that reaches past the conductor to a device, runs on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from orchestrator.config import RigConfig
from orchestrator.errors import LimitRefused
from orchestrator.rig.devices import HeaterReading
from orchestrator.rig.rig import Rig, make_safe
from orchestrator.rig.tracing import unreported
from orchestrator.safety.interlocks import PUMP_PERIOD_S, STALE_MARGIN_S, Interlocks
from orchestrator.safety.trips import Trip
from orchestrator.safety_test.evidence import Evidence, Outcome

WARM_S: Final = 120.0
PUMP_S: Final = 2.0 * PUMP_PERIOD_S + 5.0
"""So soon shows what happens to a pump."""
SAFE_OUTPUT: Final = 0.005
SHOWN_S: Final = 2.0
"""So long a controller may go on showing the output that it had."""
SHARE_OF_RANGE: Final = 0.35
"""How warm a drill makes the reactor: this share of the way from its lowest to its highest set-point."""


@dataclass(frozen=True)
class Scene:
    """A rig at work under its interlocks, for one drill."""

    rig: Rig
    interlocks: Interlocks

    def fault(self, kind: str, target: str, **how: float) -> None:
        """Inject a fault into the twins."""
        self.rig.faults.inject(asyncio.get_running_loop(), kind, target, **how)


Harm = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Drill:
    """One drill. ``expects``: the interlocks of which one must trip first; none: ``harm`` itself raises if it fails.

    ``heats``: it needs a warm reactor.
    """

    name: str
    done: str
    expects: tuple[str, ...]
    bound_s: float
    harm: Harm
    heats: bool = True

    @property
    def expected(self) -> str:
        """What must come of it, in words."""
        return " or ".join(self.expects) or "refused"

    def left_out(self, why: str) -> Evidence:
        """The evidence of a drill that was not done."""
        return Evidence(self.name, self.done, self.expected, self.bound_s, "left out", why)


async def _lower_temperature_limit(scene: Scene) -> None:
    rig = scene.rig
    now_c = (await rig.heater.read()).temperature_c
    limits = rig.config.limits
    low = limits.temperature_c[0]
    lowered = limits.model_copy(
        update={"temperature_c": (low, now_c - 2.0 - limits.heater_overshoot_k), "heater_overshoot_k": 1.0}
    )
    rig.config = rig.config.model_copy(update={"limits": lowered})


async def _lower_pressure_limit(scene: Scene) -> None:
    rig = scene.rig
    assert rig.pressure is not None
    now_kpa = await rig.pressure.read()
    lowered = rig.config.limits.model_copy(update={"pressure_kpa": max(0.5 * now_kpa, 1e-3)})
    rig.config = rig.config.model_copy(update={"limits": lowered})


async def _hang_the_heater(scene: Scene) -> None:
    """The heater's driver answers no more: as if its thread hung."""

    async def never() -> HeaterReading:
        silent: asyncio.Future[HeaterReading] = asyncio.get_running_loop().create_future()
        return await silent

    scene.rig.heater.read = never  # type: ignore[method-assign]


async def _stick_the_sensor(scene: Scene) -> None:
    """The reading stays as it is while the controller's output climbs."""
    rig = scene.rig
    reading = await rig.heater.read()
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def stuck() -> HeaterReading:
        climbed = min((loop.time() - began_s) / 60.0, 1.0)
        return HeaterReading(reading.temperature_c, reading.temperature_c + 1.0, climbed, ())

    rig.heater.read = stuck  # type: ignore[method-assign]


async def _empty_the_ledger(scene: Scene) -> None:
    solvent = scene.rig.config.plumbing.solvent_pump
    drawn_ul = (await scene.rig.pumps[solvent].status()).infused_ul
    scene.rig.earlier_ul = {solvent: scene.rig.config.pump(solvent).holds_ul - drawn_ul - 1.0}
    scene.interlocks.begin_anew()


async def _stop_behind_its_back(scene: Scene) -> None:
    await scene.rig.pumps[scene.rig.config.plumbing.solvent_pump].stop()


async def _start_behind_its_back(scene: Scene) -> None:
    rig = scene.rig
    await rig.flow({}, 1.0)
    solvent = rig.config.plumbing.solvent_pump
    flow = max(rig.pumps[solvent].flow_range_ul_min[0], rig.config.limits.total_flow_ul_min[0])
    await rig.pumps[solvent].infuse(flow, flow)


async def _heat_on_past_its_order(scene: Scene) -> None:
    """The heater goes on, and to the conductor it has been switched off."""
    scene.rig.heater.off_since_s = asyncio.get_running_loop().time()


async def _ask_for_too_much(scene: Scene) -> None:
    """Raises RuntimeError when a command beyond a limit is not refused."""
    rig = scene.rig
    highest_c, most = rig.config.limits.temperature_c[1], rig.config.limits.total_flow_ul_min[1]
    solvent = rig.config.plumbing.solvent_pump
    fastest = rig.pumps[solvent].flow_range_ul_min[1]
    for what, command in (
        ("a temperature above the limit", lambda: rig.heater.set_temperature(highest_c + 0.2)),
        ("a total flow above the limit", lambda: rig.flow({solvent: most * 1.01}, 1.0)),
        ("a flow above the pump's", lambda: rig.pumps[solvent].infuse(1.01 * fastest, 1.0)),
    ):
        try:
            await command()
        except LimitRefused:
            continue
        raise RuntimeError(f"{what} was not refused")


def _fault(kind: str, place: str, **how: float) -> Harm:
    async def harm(scene: Scene) -> None:
        config = scene.rig.config
        targets = {
            "heater": config.plumbing.reactor.heater,
            "pump": config.plumbing.solvent_pump,
            "pressure": config.plumbing.pressure or "",
            "reactor": "reactor",
            "heater port": config.heater.port,
            "pump port": config.pump(config.plumbing.solvent_pump).port,
        }
        scene.fault(kind, targets[place], **how)

    return harm


def drills(rig: Rig) -> tuple[Drill, ...]:
    """The drills that fit a rig's devices; those that inject a fault, on twins only.

    Bounds follow from the interlocks' periods and the rig file's time-outs.
    """
    outage_s, has_pressure, on_twins = rig.config.recovery.outage_s, rig.pressure is not None, rig.faults is not None
    return (
        *_everywhere(outage_s),
        *(_ON_PRESSURE if has_pressure else ()),
        *(_faults(outage_s) if on_twins else ()),
        *(_FAULTS_OF_PRESSURE if has_pressure and on_twins else ()),
    )


def _everywhere(outage_s: float) -> tuple[Drill, ...]:
    starved_s = outage_s + STALE_MARGIN_S + 10.0
    return (
        Drill("limits", "commands beyond the limits", (), 5.0, _ask_for_too_much, heats=False),
        Drill("over-temperature", "the limit lowered below it", ("over-temperature",), 10.0, _lower_temperature_limit),
        Drill("sensor starved", "the heater's driver hangs", ("stale reading",), starved_s, _hang_the_heater),
        Drill("heat not ordered", "heating on past its order", ("heat not ordered",), 30.0, _heat_on_past_its_order),
        Drill("stuck sensor", "the reading frozen, the output climbing", ("stuck sensor",), 180.0, _stick_the_sensor),
        Drill("empty syringe", "a ledger that says empty", ("empty syringe",), PUMP_S, _empty_the_ledger, heats=False),
        Drill(
            "flow not delivered",
            "a pump stopped past the conductor",
            ("flow not delivered",),
            PUMP_S,
            _stop_behind_its_back,
            heats=False,
        ),
        Drill(
            "flow not ordered",
            "a pump started past the conductor",
            ("flow not ordered",),
            PUMP_S,
            _start_behind_its_back,
            heats=False,
        ),
    )


_ON_PRESSURE: Final = (
    Drill("over-pressure", "the limit lowered below it", ("over-pressure",), 10.0, _lower_pressure_limit, heats=False),
)


def _faults(outage_s: float) -> tuple[Drill, ...]:
    def lost(port: str) -> Harm:
        return _fault("port_loss", port, duration_s=outage_s + 30.0)

    runaway = ("heater runaway", "over-temperature")
    stalled = ("pump alarm", "flow not delivered")
    unheld = ("loop break", "temperature not held")
    return (
        Drill("sensor break", "thermocouple torn", ("heater fault",), 10.0, _fault("sensor_break", "heater")),
        Drill("gain", "thermocouple off its block", unheld, 180.0, _fault("sensor_detached", "heater")),
        Drill("heater runaway", "relay welded", runaway, 180.0, _fault("relay_welded", "heater")),
        Drill("heater's cable", "cable pulled", ("lost device",), outage_s + 20.0, lost("heater port")),
        Drill("pump's cable", "cable pulled", ("lost device",), outage_s + PUMP_S, lost("pump port")),
        Drill("pump stalled", "motor stalled", stalled, PUMP_S, _fault("pump_stall", "pump")),
    )


_FAULTS_OF_PRESSURE: Final = (
    Drill("leak", "60 % of the flow drips out", ("leak",), 90.0, _fault("leak", "reactor")),
    Drill(
        "clog",
        "resistance doubles every 30 s",
        ("clog", "over-pressure", "fast pressure rise"),
        180.0,
        _fault("clog", "reactor"),
    ),
    Drill(
        "fast pressure rise",
        "resistance doubles every second",
        ("fast pressure rise", "over-pressure", "pump alarm"),
        30.0,
        _fault("clog", "reactor", size=1.0),
    ),
    Drill("broken wire", "4-20 mA loop open", ("broken wire",), 10.0, _fault("broken_wire", "pressure")),
)


async def play(drill: Drill, rig: Rig) -> Evidence:
    """Connect the rig, bring it to work, do the harm, wait for the trip, make safe, see that it is safe, let go."""
    loop = asyncio.get_running_loop()
    heard: list[tuple[Trip, float]] = []
    tripped = asyncio.Event()

    async def on_trip(trip: Trip) -> None:
        heard.append((trip, loop.time()))
        tripped.set()

    def evidence(ok: bool, seen: str, after_s: float | None) -> Evidence:
        after_s = None if after_s is None else round(after_s, 2)
        outcome: Outcome = "passed" if ok else "failed"
        return Evidence(drill.name, drill.done, drill.expected, drill.bound_s, outcome, seen, after_s)

    interlocks = Interlocks(rig)
    read = rig.heater.read
    try:
        await rig.connect()
        interlocks.start(on_trip)
        await _to_work(rig, warm=drill.heats)
        if heard:
            return evidence(False, f"tripped before anything was done: {heard[0][0]}", None)
        began_s = loop.time()
        await drill.harm(Scene(rig, interlocks))
        if not drill.expects:
            return evidence(True, "refused", loop.time() - began_s)
        try:
            await asyncio.wait_for(tripped.wait(), drill.bound_s)
        except TimeoutError:
            return evidence(False, "nothing tripped", None)
        trip, at_s = heard[0]
        rig.heater.read = read  # type: ignore[method-assign]
        left = await _make_safe(rig, interlocks, drill)
        return evidence(trip.interlock in drill.expects and not left, "; ".join([str(trip), *left]), at_s - began_s)
    except Exception as error:  # noqa: BLE001 - a drill that cannot be done is a drill that failed
        return evidence(False, f"{type(error).__name__}: {error}", None)
    finally:
        rig.heater.read = read  # type: ignore[method-assign]
        await interlocks.stop(on_trip)
        await make_safe(rig, unreported, hurry=True)
        await rig.close()


def at_work(config: RigConfig) -> tuple[float, int]:
    """What a rig does in a drill: the slow flow of its solvent in µL/min, and how warm its reactor is, in °C."""
    low, high = config.limits.total_flow_ul_min
    slowest, fastest = config.pump_range_ul_min(config.plumbing.solvent_pump)
    coldest, hottest = config.limits.temperature_c
    flow = min(max(0.5 * (low + high), slowest), fastest, high)
    return flow, round(coldest + SHARE_OF_RANGE * (hottest - coldest))


async def _to_work(rig: Rig, *, warm: bool) -> None:
    """A slow flow of solvent, and the reactor warm where that is wanted."""
    flow, temperature_c = at_work(rig.config)
    await rig.flow({rig.config.plumbing.solvent_pump: flow}, 3600.0)
    if warm:
        await rig.heater.set_temperature(temperature_c)
    await asyncio.sleep(WARM_S)


async def _make_safe(rig: Rig, interlocks: Interlocks, drill: Drill) -> list[str]:
    """The safe sequence without its flush; what is not safe after it, in words."""
    failed: list[str] = []

    async def report(step: str, ok: bool, detail: str) -> None:
        if not ok:
            failed.append(f"{step}: {detail}")

    if "lost device" in drill.expects:
        await asyncio.sleep(60.0)  # the cable is put back
    await make_safe(rig, report, hurry=True, forbids_flush=interlocks.forbids_flush)
    await asyncio.sleep(SHOWN_S)
    reading = await rig.heater.read()
    if reading.output_fraction > SAFE_OUTPUT:
        failed.append(f"the heater still gives {100.0 * reading.output_fraction:.0f} %")
    for name, pump in rig.pumps.items():
        state = (await pump.status()).state
        if state == "infusing":
            failed.append(f"{name} still runs")
    return failed
