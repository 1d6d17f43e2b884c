"""Orders over bad lines: whatever is accepted must be what the device then holds, and nothing may become stuck.

1 % of the bytes, both ways, arrive as other bytes, and 5 % of the replies are lost. TCP, which has a checksum of
its own, loses replies only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, cast

from drivers import DriverError, EurothermController, RecoveringHeater
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.config import LoadedCampaign
from orchestrator.rig.devices import RigPump
from orchestrator.rig.rig import Rig
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_faults import WireFaults
from tests.benchmarks.bench import Outages, bench_rig, bright, outages
from tests.benchmarks.fault_rows import PUMPS
from tests.contract.heaters import EVERY, ModbusMake
from tests.contract.plants import LaggingHeater

CORRUPTED, DROPPED = 0.01, 0.05
RANGE: dict[str, Any] = {"set_point_range_c": (20.0, 180.0), "safe_set_point_c": 20.0}
_A_LINE_EACH = {
    f"    driver: new_era\n    port: pumps\n    address: {index}\n": (
        f"    driver: new_era\n    port: {pump}_line\n    address: {index}\n"
    )
    for index, pump in enumerate(PUMPS)
}
_PORTS = "".join(f"  {pump}_line:\n    kind: serial\n    url: /dev/ttyUSB1{n}\n" for n, pump in enumerate(PUMPS))
_BASIC = {"    safe_mode_timeout: 30 s\n": ""}
_OWN_PORTS = {"  pumps:\n    kind: serial\n    url: /dev/ttyUSB0\n    baud_rate: 19200\n": _PORTS}
PUMP_LINES: dict[str, dict[str, str]] = {
    "pumps in safe mode on one line": {},
    "pumps in basic mode on one line": _BASIC,
    "pumps in basic mode, a line each": {**_BASIC, **_OWN_PORTS, **_A_LINE_EACH},
}
"""Edits of the rig file for each way of wiring the pumps."""
EVERY_HEATER = {
    "eurotherm": ModbusMake("eurotherm", cast(Any, EurothermController), EurothermTwin),
    **{make.name: make for make in EVERY},
}


@dataclass(frozen=True)
class Garbage:
    """How many orders were taken, of how many of those the twin did not hold what was accepted, and what was stuck.

    ``slipped``: pumps found at another flow than was accepted when the next order came, nobody having ordered it.
    """

    what: str
    hours: float
    orders: int
    refused: int
    wrong: int
    slipped: int
    outages: int
    trips: int
    corrupted_bytes: int
    dropped_replies: int
    stuck: tuple[str, ...]


def garbage(seed: int, hours: float, lines: str) -> Garbage:
    """Order random flows and temperatures, and compare what was accepted with what the twins do."""
    with outages() as heard:
        return run_virtual(_garbage(seed, hours, lines, heard))


async def _garbage(seed: int, hours: float, lines: str, heard: Outages) -> Garbage:
    loop = asyncio.get_running_loop()
    draws = random.Random(seed)
    rig = bench_rig(_wired(seed, lines))
    await rig.connect()
    wires = rig.faults.wires
    for wire in wires.values():
        wire.corrupted, wire.dropped = CORRUPTED, DROPPED
    orders = refused = wrong = slipped = trips = 0

    async def watched() -> None:
        nonlocal trips

        async def tripped(trip: Trip) -> None:
            nonlocal trips
            trips += 1

        while True:
            await Interlocks(rig).watch(tripped)
            await asyncio.sleep(30.0)

    _refill(rig)
    watching = asyncio.ensure_future(watched())
    accepted: dict[str, float] | None = None
    while loop.time() < hours * 3600.0:
        await asyncio.sleep(draws.uniform(30.0, 90.0))
        _refill(rig)
        slipped += 0 if accepted is None else _other(rig, accepted)
        flows = {pump: draws.uniform(20.0, 300.0) for pump in PUMPS if draws.random() < 0.8}
        temperature_c = round(draws.uniform(60.0, 160.0), 1)
        asked = {pump: flows.get(pump, 0.0) for pump in PUMPS}
        accepted = None
        for order in (partial(_order_flows, rig, asked), partial(_order_temperature, rig, temperature_c)):
            try:
                unlike = await order()
            except DriverError:
                refused += 1
                continue
            orders += 1
            wrong += unlike
            if order.func is _order_flows and not unlike:
                accepted = asked
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    corrupted, dropped = sum(w.corrupted_bytes for w in wires.values()), sum(w.dropped_replies for w in wires.values())
    for wire in wires.values():
        wire.corrupted = wire.dropped = 0.0
    await asyncio.sleep(5.0)
    stuck = [name for name, pump in rig.pumps.items() if not await _well(pump)]
    stuck += [rig.heater.name] if not await _heater_well(rig) else []
    await rig.close()
    numbers = (orders, refused, wrong, slipped, len(heard.times_s), trips, corrupted, dropped)
    return Garbage(lines, hours, *numbers, tuple(stuck))


def _wired(seed: int, lines: str) -> LoadedCampaign:
    return bright(seed, 1, **PUMP_LINES[lines])


def _refill(rig: Rig) -> None:
    """A day of orders empties any syringe."""
    now_s = asyncio.get_running_loop().time()
    for name, config in rig.config.pumps.items():
        rig.faults.world.syringe(name).set_content(now_s, config.holds_ul)
    rig.earlier_ul = dict.fromkeys(rig.config.pumps, -1e9)


async def _order_flows(rig: Rig, asked: dict[str, float]) -> int:
    """Pumps that were told another flow than their driver accepted."""
    actual = await rig.flow(asked, 600.0)
    return _other(rig, asked) + sum(abs(actual[pump] - flow) > 0.005 * flow for pump, flow in asked.items())


def _other(rig: Rig, asked: dict[str, float]) -> int:
    """Pumps whose motor is told to do something else."""
    flows = {pump: rig.faults.world.syringe(pump).commanded_ul_min for pump in asked}
    return sum(abs(flows[pump] - flow) > 0.005 * flow for pump, flow in asked.items())


async def _order_temperature(rig: Rig, temperature_c: float) -> int:
    accepted = await rig.heater.set_temperature(temperature_c)
    held = rig.faults.world.block.set_point_c(asyncio.get_running_loop().time())
    return int(abs(held - temperature_c) > 0.051 or abs(accepted - temperature_c) > 0.051)


async def _well(pump: RigPump) -> bool:
    """Whether a pump takes an order and says so."""
    try:
        await pump.infuse(100.0, 500.0)
        running = await pump.status()
        await pump.stop()
        return running.state == "infusing" and running.alarm is None
    except DriverError:
        return False


async def _heater_well(rig: Rig) -> bool:
    try:
        return await rig.heater.set_temperature(90.0) == 90.0
    except DriverError:
        return False


def heater_garbage(seed: int, hours: float, name: str) -> Garbage:
    """One heater on a wire of its own: random set-points, readings every 5 s, refreshed, sometimes switched off."""
    with outages() as heard:
        return run_virtual(_heater_garbage(seed, hours, name, heard))


async def _heater_garbage(seed: int, hours: float, name: str, heard: Outages) -> Garbage:
    loop = asyncio.get_running_loop()
    draws = random.Random(f"{seed} {name}")
    plant, wire = LaggingHeater(), WireFaults(seed, name)
    make = EVERY_HEATER[name]
    driver = make.in_memory(plant, wire.around, **RANGE)
    heater = RecoveringHeater(driver, seed=seed)
    await heater.connect()
    wire.corrupted = 0.0 if isinstance(make, ModbusMake) and make.tcp else CORRUPTED
    wire.dropped = DROPPED
    orders = refused = wrong = slipped = 0
    held: tuple[float, bool] | None = None

    def unlike(wanted: tuple[float, bool]) -> bool:
        temperature_c, on = wanted
        return plant.automatic != on or (on and abs(plant.target_c - temperature_c) > 0.051)

    while loop.time() < hours * 3600.0:
        for _ in range(draws.randint(6, 18)):
            await asyncio.sleep(5.0)
            try:
                await heater.read()
                await heater.refresh()
            except DriverError:
                refused += 1
        slipped += held is not None and unlike(held)
        wanted = (round(draws.uniform(30.0, 170.0), 1), draws.random() < 0.9)
        held = None
        try:
            if wanted[1]:
                await heater.set_temperature(wanted[0])
            else:
                await heater.heater_off()
        except DriverError:
            refused += 1
            continue
        orders += 1
        wrong += unlike(wanted)
        held = wanted
    corrupted, dropped = wire.corrupted_bytes, wire.dropped_replies
    wire.corrupted = wire.dropped = 0.0
    await asyncio.sleep(5.0)
    stuck: tuple[str, ...] = ()
    try:
        await heater.set_temperature(90.0)
        stuck = () if abs((await heater.read()).set_point_c - 90.0) < 0.051 else (name,)
        await heater.heater_off()
    except DriverError:
        stuck = (name,)
    await heater.close()
    return Garbage(name, hours, orders, refused, wrong, slipped, len(heard.times_s), 0, corrupted, dropped, stuck)


def together(results: Sequence[Garbage]) -> Garbage:
    """One row of several seeds on the same line: everything summed, hours too."""
    first = results[0]
    sums = {
        name: sum(getattr(each, name) for each in results)
        for name in (field.name for field in fields(first))
        if name not in ("what", "stuck")
    }
    return Garbage(what=first.what, stuck=tuple(name for each in results for name in each.stuck), **sums)


def garbage_table(results: Sequence[Garbage]) -> Iterator[str]:
    """What was ordered over each bad line, and what came of it."""
    heads: tuple[str, ...] = (
        "on the line",
        "hours",
        "bytes bent",
        "replies lost",
        "orders",
        "refused",
        "wrong",
        "slipped",
    )
    heads += ("outages", "trips", "stuck")
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for each in results:
        yield (
            f"| {each.what} | {each.hours:g} | {each.corrupted_bytes} | {each.dropped_replies} | {each.orders} | "
            f"{each.refused} | {each.wrong} | {each.slipped} | {each.outages} | {each.trips} | {len(each.stuck)} |"
        )
