"""The fault matrix: everything that a rig meets, injected into its twins, and how soon driver or interlock tells.

    python -m tests.benchmarks.faults --seeds 20 --jobs 2

Three parts. The matrix: each fault at a random moment of a random recipe, 20 seeds. False trips: 1,000 experiments in
which nothing is wrong. Garbage: 24 h of orders over lines that corrupt 1 % of the bytes and lose 5 % of the replies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import os
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from drivers import DriverError, Rung
from orchestrator.build import build_rig
from orchestrator.config import LoadedCampaign
from orchestrator.devices import RigPump
from orchestrator.reference import Reference, lamp_line_rate
from orchestrator.rig import Rig
from orchestrator.safety import Interlocks, Trip
from orchestrator.virtual_time import blocking_clock, run_virtual
from simulators.faults import FaultKind
from tests.orchestrator.rehearsal import rehearse, small

PUMPS = ("cs", "pb", "halide", "solvent")
PATIENCE_S = 900.0
BRIGHT = {
    "range: [0.0, 0.9]": "range: [0.2, 0.5]",
    "range: [0.4, 2.5]": "range: [0.8, 1.4]",
    "range: [20 s, 300 s]": "range: [60 s, 120 s]",
    "range: [60 degC, 160 degC]": "range: [100 degC, 130 degC]",
}
"""Edits of the quickstart campaign that leave only recipes with a clear line."""


@dataclass(frozen=True)
class Row:
    """One fault of the matrix. ``signs``: interlocks or other signs that count; ``bound_s``: how soon one must show."""

    name: str
    kind: FaultKind
    target: str
    signs: tuple[str, ...]
    bound_s: float
    size: float | None = None
    duration_s: float | None = None
    survived: bool = False


@dataclass(frozen=True)
class Seen:
    """What one run showed: the sign and how long after the fault, or None; and whether devices worked at its end."""

    row: str
    seed: int
    sign: str | None
    after_s: float
    working: bool


K = FaultKind
ROWS: tuple[Row, ...] = (
    Row("pump stall", K.PUMP_STALL, "pb", ("pump alarm", "flow not delivered"), 15.0),
    Row("empty syringe, unknown to the ledger", K.SYRINGE_EMPTY, "pb", ("pump alarm",), 15.0),
    Row("empty syringe, by the ledger", K.SYRINGE_EMPTY, "pb", ("empty syringe",), 0.0, size=400.0),
    Row("pump power blip", K.POWER_BLIP, "pb", ("outage",), 12.0, survived=True),
    Row("leak", K.LEAK, "reactor", ("leak",), 40.0),
    Row("clog", K.CLOG, "reactor", ("clog", "over-pressure", "fast pressure rise"), 120.0),
    Row("clog, sudden", K.CLOG, "reactor", ("fast pressure rise", "over-pressure", "pump alarm"), 15.0, size=1.0),
    Row("bubble", K.BUBBLE, "spectrometer", ("flagged",), 60.0, duration_s=600.0),
    Row("thermocouple break", K.SENSOR_BREAK, "oven", ("heater fault",), 5.0),
    Row("thermocouple detached", K.SENSOR_DETACHED, "oven", ("loop break", "temperature not held"), 90.0),
    Row("relay welded", K.RELAY_WELDED, "oven", ("heater runaway", "over-temperature"), 60.0),
    Row("saturation", K.SATURATION, "spectrometer", ("flagged",), 60.0),
    Row("lamp drift", K.LAMP_DRIFT, "spectrometer", ("reference shifted",), 2400.0),
    Row("fouled flow cell", K.FOULING, "spectrometer", ("reference shifted",), 1200.0),
    Row("broken wire of the pressure sensor", K.BROKEN_WIRE, "mixer_pressure", ("broken wire",), 5.0),
    Row("garbage on the pumps' line", K.GARBAGE, "pumps", ("outage",), 60.0, 0.3, 28.0, survived=True),
    Row("garbage on the oven's bus", K.GARBAGE, "oven", ("outage",), 30.0, 0.3, 20.0, survived=True),
    Row("late replies", K.LATE, "oven", ("outage",), 15.0, survived=True),
    Row("silence on the pumps' line", K.SILENCE, "pumps", ("outage",), 20.0, None, 20.0, survived=True),
    Row("pumps' port lost", K.PORT_LOSS, "pumps", ("outage",), 12.0, None, 20.0, survived=True),
    Row("oven's port lost", K.PORT_LOSS, "oven", ("outage",), 5.0, None, 20.0, survived=True),
    Row("oven's port lost for good", K.PORT_LOSS, "oven", ("lost device",), 45.0, None, 3600.0),
    Row("spectrometer unplugged", K.USB_UNPLUG, "spectrometer", ("outage",), 5.0, survived=True),
    Row("spectrometer hangs", K.USB_HANG, "spectrometer", ("outage",), 8.0, survived=True),
)


class Unrecorded:
    """A tracer that only runs what it is given."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    async def call(self, device: str, verb: str, args: object, action: Callable[[], Awaitable[Any]]) -> Any:
        return await action()

    def store(self, data: bytes) -> str:
        self._kept = {"newest": data}
        return "newest"

    def load(self, address: str) -> bytes:
        return self._kept[address]


class Outages(logging.Handler):
    """The loop's time of each outage that a ladder logs."""

    def __init__(self) -> None:
        super().__init__()
        self.times_s: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "outage:" in record.getMessage():
            self.times_s.append(asyncio.get_running_loop().time())


@contextlib.contextmanager
def outages() -> Iterator[Outages]:
    """Listen to the ladders instead of letting them print."""
    log = logging.getLogger("drivers.recovery")
    handler = Outages()
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def bright(seed: int, experiments: int) -> LoadedCampaign:
    """A short campaign of recipes that all show a line."""
    loaded = small(experiments, **BRIGHT)
    return _seeded(loaded, seed)


def _seeded(loaded: LoadedCampaign, seed: int) -> LoadedCampaign:
    config = loaded.config.model_copy(update={"seed": seed})
    return LoadedCampaign(
        config,
        loaded.rig,
        loaded.campaign_path,
        loaded.rig_path,
        loaded.campaign_text,
        loaded.rig_text,
        loaded.campaign_source,
        loaded.rig_source,
    )


def detect(row: Row, seed: int) -> Seen:
    """Inject one fault of the matrix and wait for its sign."""
    if row.signs == ("flagged",):
        return _flagged(row, seed)
    with outages() as heard:
        return run_virtual(_on_the_bench(row, seed, heard))


async def _on_the_bench(row: Row, seed: int, heard: Outages) -> Seen:
    """A rig that flows and heats under its interlocks, without a campaign."""
    loop = asyncio.get_running_loop()
    draws = random.Random(f"{seed} {row.name}")
    loaded = bright(seed, 1)
    rig = _rig(loaded)
    await rig.connect()
    reference = row.signs == ("reference shifted",)
    total = draws.uniform(250.0, 1200.0)
    shares = [draws.uniform(0.1, 1.0) for _ in PUMPS]
    flows = {pump: total * share / sum(shares) for pump, share in zip(PUMPS, shares, strict=True)}
    if reference:
        flows = {"solvent": total}
    at_s = draws.uniform(200.0, 400.0)
    ledger = row.signs == ("empty syringe",)
    if ledger:
        # The ledger knows that hardly anything is left, and the syringe agrees with it.
        left_ul = flows["pb"] * (at_s + 40.0) / 60.0
        rig.earlier_ul = {"pb": loaded.rig.pump("pb").syringe.volume_ul - left_ul}
        rig.faults.inject(loop, row.kind, "pb", size=left_ul)
    interlocks = Interlocks(rig)
    trips: list[tuple[Trip, float]] = []

    async def tripped(trip: Trip) -> None:
        trips.append((trip, loop.time()))

    await rig.flow(flows, 4000.0)
    await rig.heater.set_temperature(draws.uniform(70.0, 150.0))
    watching = asyncio.ensure_future(interlocks.watch(tripped))
    looking = asyncio.ensure_future(_reads(rig) if reference else _looks(rig))
    await asyncio.sleep(at_s)
    assert not trips, f"{row.name}, seed {seed}: tripped before the fault: {trips[0][0]}"
    heard.times_s.clear()
    began_s = loop.time()
    if ledger:
        dry_s = began_s + 40.0
        began_s = dry_s  # it has to show before the syringe is dry
    else:
        rig.faults.inject(loop, row.kind, row.target, size=row.size, duration_s=row.duration_s)
    sign: str | None = None
    until_s = loop.time() + (4000.0 if reference else PATIENCE_S)
    if row.survived:
        until_s = loop.time() + 180.0
    await asyncio.wait({watching, looking}, timeout=until_s - loop.time(), return_when=asyncio.FIRST_COMPLETED)
    seen_s = math.nan
    if "outage" in row.signs and heard.times_s:
        sign, seen_s = "outage", heard.times_s[0]
    elif trips:
        sign, seen_s = trips[0][0].interlock, trips[0][1]
    elif looking.done():
        sign, seen_s = looking.result(), loop.time()
    working = not trips
    for task in (watching, looking):
        task.cancel()
    await asyncio.gather(watching, looking, return_exceptions=True)
    if row.survived and working:
        working = await _all_answer(rig)
    await rig.close()
    return Seen(row.name, seed, sign, seen_s - began_s, working)


def _rig(loaded: LoadedCampaign) -> Rig:
    loop = asyncio.get_running_loop()
    return build_rig(loaded, Unrecorded(), hardware=False, clock=blocking_clock(loop), start_s=loop.time())


async def _looks(rig: Rig) -> str:
    """What a campaign does with its spectrometer all the time."""
    await rig.spectrometer.set_integration(0.1)
    await rig.spectrometer.set_lamp(True)
    while True:
        await rig.spectrometer.acquire()
        await asyncio.sleep(1.0)


async def _reads(rig: Rig) -> str:
    """The reference through solvent, every five minutes, until it has shifted."""
    reference: Reference | None = None
    wavelengths, _ = await rig.spectrometer.wavelengths_nm()
    await rig.spectrometer.set_integration(0.05)
    while True:
        await asyncio.sleep(100.0 if reference is None else 300.0)
        frames = []
        for on in (True, False):
            await rig.spectrometer.set_lamp(on)
            for _ in range(2):
                await rig.spectrometer.acquire()
            frames.append((await rig.spectrometer.acquire())[0])
        rate = lamp_line_rate(frames[0], frames[1], wavelengths, 0.05, rig.layout)
        if reference is None:
            reference = Reference(rate)
        elif (outcome := reference.check(rate).outcome) != "steady":
            return f"reference {outcome}"


async def _all_answer(rig: Rig) -> bool:
    """Whether every device takes an order and reports it."""
    try:
        actual = await rig.flow({"solvent": 300.0, "pb": 50.0}, 60.0)
        set_point = await rig.heater.set_temperature(90.0)
        await rig.spectrometer.acquire()
        states = {name: (await pump.status()).state for name, pump in rig.pumps.items()}
    except DriverError:
        return False
    running = {name for name, state in states.items() if state == "infusing"}
    return running == {"solvent", "pb"} and actual["solvent"] == 300.0 and set_point == 90.0


def _flagged(row: Row, seed: int) -> Seen:
    """A fault of the optics while an experiment is measured: its numbers must not be used."""
    loaded = bright(seed, 1)
    times: dict[str, float] = {}

    def watch(campaign: Any, rig: Rig, event: Any) -> None:
        loop = asyncio.get_running_loop()
        if event.kind == "settled":
            times["fault"] = loop.time()
            rig.faults.inject(loop, row.kind, row.target, size=row.size, duration_s=row.duration_s)
        if event.kind == "analysed":
            times["seen"] = loop.time()

    with tempfile.TemporaryDirectory() as folder, outages():
        run = rehearse(loaded, Path(folder) / "run.sqlite", watch=watch)
    (experiment,) = run.state.experiments
    sound = any(look is not None for look in experiment.looks_ev)
    assert sound, f"{row.name}, seed {seed}: the experiment showed no line before the fault"
    sign = "flagged" if experiment.flags and not experiment.accepted else None
    return Seen(row.name, seed, sign, times["seen"] - times["fault"], run.state.safe is True)


def nominal(seed: int, experiments: int) -> tuple[int, list[str]]:
    """Experiments told and trips in a campaign where nothing is wrong."""
    loaded = _seeded(small(experiments), seed)
    with tempfile.TemporaryDirectory() as folder, outages() as heard:
        run = rehearse(loaded, Path(folder) / "run.sqlite")
    words = [str(trip["interlock"]) for trip in run.state.trips] + ["outage"] * len(heard.times_s)
    return len(run.state.told), words


@dataclass(frozen=True)
class Garbage:
    """Orders over bad lines: how many were taken, how many of those the twin did not hold, and what became stuck."""

    hours: float
    orders: int
    refused: int
    wrong: int
    outages: int
    trips: int
    corrupted_bytes: int
    dropped_replies: int
    stuck: tuple[str, ...]


def garbage(seed: int, hours: float, *, corrupted: float = 0.01, dropped: float = 0.05) -> Garbage:
    """Order random flows and temperatures over bad lines, and compare what was accepted with what the twin does."""
    with outages() as heard:
        return run_virtual(_garbage(seed, hours, corrupted, dropped, heard))


async def _garbage(seed: int, hours: float, corrupted: float, dropped: float, heard: Outages) -> Garbage:
    loop = asyncio.get_running_loop()
    draws = random.Random(seed)
    rig = _rig(bright(seed, 1))
    await rig.connect()
    wires = rig.faults.wires
    for port in ("pumps", "oven"):
        wires[port].corrupted, wires[port].dropped = corrupted, dropped
    orders = refused = wrong = trips = 0

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
    while loop.time() < hours * 3600.0:
        await asyncio.sleep(draws.uniform(30.0, 90.0))
        _refill(rig)
        flows = {pump: draws.uniform(20.0, 300.0) for pump in PUMPS if draws.random() < 0.8}
        temperature_c = round(draws.uniform(60.0, 160.0), 1)
        for order in (partial(_order_flows, rig, flows), partial(_order_temperature, rig, temperature_c)):
            try:
                wrong += await order()
                orders += 1
            except DriverError:
                refused += 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    counts = (sum(w.corrupted_bytes for w in wires.values()), sum(w.dropped_replies for w in wires.values()))
    for wire in wires.values():
        wire.corrupted = wire.dropped = 0.0
    await asyncio.sleep(5.0)
    stuck = [name for name, pump in rig.pumps.items() if not await _well(pump)]
    try:
        await rig.heater.read()
    except DriverError:
        stuck.append(rig.heater.name)
    if not await _all_answer(rig):
        stuck.append("an order afterwards")
    await rig.close()
    return Garbage(hours, orders, refused, wrong, len(heard.times_s), trips, *counts, tuple(stuck))


def _refill(rig: Rig) -> None:
    """A day of orders empties any syringe."""
    now_s = asyncio.get_running_loop().time()
    for name, config in rig.config.pumps.items():
        rig.faults.world.syringe(name).set_content(now_s, config.syringe.volume_ul)
    rig.earlier_ul = dict.fromkeys(rig.config.pumps, -1e9)


async def _order_flows(rig: Rig, flows: dict[str, float]) -> int:
    """Flows of which the pump was told another one than its driver accepted."""
    actual = await rig.flow(flows, 600.0)
    wrong = 0
    for name, asked in ((pump, flows.get(pump, 0.0)) for pump in PUMPS):
        commanded = rig.faults.world.syringe(name).commanded_ul_min
        wrong += abs(commanded - asked) > 0.005 * asked or abs(commanded - actual[name]) > 0.005 * asked
    return wrong


async def _order_temperature(rig: Rig, temperature_c: float) -> int:
    accepted = await rig.heater.set_temperature(temperature_c)
    held = rig.faults.world.block.set_point_c(asyncio.get_running_loop().time())
    return int(abs(held - temperature_c) > 0.051 or abs(accepted - temperature_c) > 0.051)


async def _well(pump: RigPump) -> bool:
    try:
        return (await pump.status()).alarm is None
    except DriverError:
        return False


def rung(device: Any) -> Rung:
    """Where the driver behind a device stands on its ladder."""
    found: Rung = device._driver.rung
    return found


def matrix_table(seen: Sequence[Seen]) -> Iterator[str]:
    """The matrix as Markdown: detected within the bound, when, and by what."""
    yield "| fault | seeds | detected in time | bound | median | slowest | by | survived |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in ROWS:
        mine = [s for s in seen if s.row == row.name]
        if not mine:
            continue
        good = [s for s in mine if in_time(row, s)]
        times = [s.after_s for s in mine if s.sign is not None] or [math.nan]
        middle, slowest = statistics.median(times), max(times)
        signs = ", ".join(sorted({s.sign or "nothing" for s in mine}))
        survived = f"{sum(s.working for s in mine)}/{len(mine)}" if row.survived else "-"
        bound = f"{row.bound_s:g} s" if row.bound_s else "before it is dry"
        yield (
            f"| {row.name} | {len(mine)} | {len(good)}/{len(mine)} | {bound} | {middle:.1f} s | "
            f"{slowest:.1f} s | {signs} | {survived} |"
        )


def in_time(row: Row, seen: Seen) -> bool:
    """Whether a run showed a sign that counts, soon enough, and the devices lived where they should."""
    return seen.sign in row.signs and seen.after_s <= row.bound_s and (seen.working or not row.survived)


def main() -> None:
    """Run the three parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", nargs="*", default=["matrix", "nominal", "garbage"])
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    with ProcessPoolExecutor(options.jobs) as pool:
        if "matrix" in options.parts:
            jobs = [(row, seed) for row in ROWS for seed in range(1, options.seeds + 1)]
            seen = list(pool.map(detect, *zip(*jobs, strict=True), chunksize=4))
            print("\n".join(matrix_table(seen)), end="\n\n")
            for miss in (s for s in seen if not in_time(next(r for r in ROWS if r.name == s.row), s)):
                print(f"missed: {miss}", file=sys.stderr)
        if "nominal" in options.parts:
            per_run = 25
            runs = math.ceil(options.experiments / per_run)
            told = list(pool.map(nominal, range(1, runs + 1), [per_run] * runs))
            trips = [word for _, words in told for word in words]
            print(f"nominal: {sum(count for count, _ in told)} experiments, {len(trips)} false trips {trips}\n")
        if "garbage" in options.parts:
            for result in pool.map(garbage, [1], [options.hours]):
                print(result)


if __name__ == "__main__":
    main()
