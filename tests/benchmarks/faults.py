"""The fault matrix: everything that a rig meets, injected into its twins, and how soon driver or interlock tells.

    python -m tests.benchmarks.faults --seeds 20 --jobs 2

The matrix: each fault at a random moment of a random recipe, 20 seeds. False trips: at least 1,000 experiments in which
nothing is wrong. The limit: how large a partial bubble must be to be flagged. Garbage: 24 h of orders over lines that
corrupt 1 % of the bytes and lose 5 % of the replies. Results are kept as they come; what is there, by the same code, is
not run again.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers import DriverError
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.rig.rig import Rig
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip
from simulators.faults import FaultKind
from tests.benchmarks.bench import ROOT, Outages, bench_rig, bright, fingerprint, outages, seeded
from tests.benchmarks.fault_rows import (
    FLOW_UL_MIN,
    LOOK_INTEGRATION_S,
    LOOK_S,
    PUMPS,
    REFERENCE_INTERVAL_S,
    ROWS,
    RUNWAY_S,
    Row,
)
from tests.benchmarks.garbage import (
    EVERY_HEATER,
    PUMP_LINES,
    Garbage,
    garbage,
    garbage_table,
    heater_garbage,
    together,
)
from tests.benchmarks.kept import Kept
from tests.orchestrator.rehearsal import rehearse, small

PATIENCE_S = 900.0
BUBBLES = (0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3)


@dataclass(frozen=True)
class Seen:
    """What one run showed: the sign and how long after the fault, or None; and whether devices worked at its end."""

    row: str
    seed: int
    sign: str | None
    after_s: float
    working: bool


def detect(name: str, seed: int) -> Seen:
    """Inject one fault of the matrix and wait for its sign."""
    row = next(row for row in ROWS if row.name == name)
    if row.how == "measured":
        return _measured(row, seed)
    if row.how == "reference":
        return _referred(row, seed)
    with outages() as heard:
        return run_virtual(_on_the_bench(row, seed, heard))


async def _on_the_bench(row: Row, seed: int, heard: Outages) -> Seen:
    """A rig that flows and heats under its interlocks, without a campaign."""
    loop = asyncio.get_running_loop()
    draws = random.Random(f"{seed} {row.name}")
    loaded = bright(seed, 1)
    rig = bench_rig(loaded)
    await rig.connect()
    total = draws.uniform(*FLOW_UL_MIN)
    shares = [draws.uniform(0.1, 1.0) for _ in PUMPS]
    flows = {pump: total * share / sum(shares) for pump, share in zip(PUMPS, shares, strict=True)}
    at_s = draws.uniform(200.0, 400.0)
    ledger = row.signs == ("empty syringe",)
    if ledger:
        # The ledger knows that hardly anything is left, and the syringe agrees with it.
        left_ul = flows["pb"] * (at_s + RUNWAY_S) / 60.0
        rig.earlier_ul = {"pb": loaded.rig.pump("pb").holds_ul - left_ul}
        rig.faults.inject(loop, row.kind, "pb", size=left_ul)
    interlocks = Interlocks(rig)
    trips: list[tuple[Trip, float]] = []

    async def tripped(trip: Trip) -> None:
        trips.append((trip, loop.time()))

    await rig.flow(flows, 4000.0)
    await rig.heater.set_temperature(draws.uniform(70.0, 150.0))
    watching = asyncio.ensure_future(interlocks.watch(tripped))
    looking = asyncio.ensure_future(_looks(rig))
    await asyncio.sleep(at_s)
    assert not trips, f"{row.name}, seed {seed}: tripped before the fault: {trips[0][0]}"
    heard.times_s.clear()
    began_s = loop.time()
    if ledger:
        began_s += RUNWAY_S  # it has to show before the syringe is dry
    else:
        rig.faults.inject(loop, row.kind, row.target, size=row.size, duration_s=row.duration_s)
    sign: str | None = None
    await asyncio.wait(
        {watching, looking}, timeout=180.0 if row.survived else PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
    )
    seen_s = math.nan
    if "outage" in row.signs and heard.times_s:
        sign, seen_s = "outage", heard.times_s[0]
    elif trips:
        sign, seen_s = trips[0][0].interlock, trips[0][1]
    working = not trips
    for task in (watching, looking):
        task.cancel()
    await asyncio.gather(watching, looking, return_exceptions=True)
    if row.survived and working:
        working = await _all_answer(rig)
    await rig.close()
    return Seen(row.name, seed, sign, seen_s - began_s, working)


async def _looks(rig: Rig) -> None:
    """What a campaign does with its spectrometer all the time."""
    await rig.spectrometer.set_integration(LOOK_INTEGRATION_S)
    await rig.spectrometer.set_lamp(True)
    while True:
        await rig.spectrometer.acquire()
        await asyncio.sleep(LOOK_S)


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


def _measured(row: Row, seed: int) -> Seen:
    """A fault of the optics while an experiment is measured: it must bear the fault's own flag."""
    flags, accepted, after_s, safe = _optics(row.kind, seed, row.size, row.duration_s)
    sign = next((flag for flag in row.signs if flag in flags), None) if not accepted else None
    return Seen(row.name, seed, sign, after_s, safe)


def _optics(
    kind: FaultKind, seed: int, size: float | None, duration_s: float | None
) -> tuple[tuple[str, ...], bool, float, bool]:
    """Flags and acceptance of an experiment whose optics suffer between its last look and its measurement."""
    times: dict[str, float] = {}

    def watch(campaign: Any, rig: Rig, event: Any) -> None:
        loop = asyncio.get_running_loop()
        if event.kind == "settled":
            times["fault"] = loop.time()
            rig.faults.inject(loop, kind, "spectrometer", size=size, duration_s=duration_s)
        if event.kind == "analysed":
            times["seen"] = loop.time()

    with tempfile.TemporaryDirectory() as folder, outages():
        run = rehearse(bright(seed, 1), Path(folder) / "run.sqlite", watch=watch)
    (experiment,) = run.state.experiments
    sound = any(look is not None for look in experiment.looks_ev)
    assert sound, f"{kind}, seed {seed}: the experiment showed no line before the fault"
    return experiment.flags, experiment.accepted, times["seen"] - times["fault"], run.state.safe is True


def _referred(row: Row, seed: int) -> Seen:
    """Lamp or window change slowly under a campaign, until its look at the reference tells."""
    draws = random.Random(f"{seed} {row.name}")
    first, later_s = draws.randint(1, 3), draws.uniform(0.0, 300.0)
    minutes = f"{REFERENCE_INTERVAL_S / 60.0:g} min"
    # A target that no recipe reaches: the campaign must not end before its lamp has.
    edits = {"target: 2.25 eV": "target: 1.75 eV"}
    edits["  dark_repeats: 3"] = f"  dark_repeats: 3\n  reference_interval: {minutes}"
    loaded = bright(seed, 40, **edits)
    times: dict[str, float] = {}
    signs: list[str] = []

    def begin(rig: Rig) -> None:
        loop = asyncio.get_running_loop()
        times["fault"] = loop.time()
        rig.faults.inject(loop, row.kind, row.target, size=row.size, duration_s=row.duration_s)

    def watch(campaign: Any, rig: Rig, event: Any) -> None:
        if event.kind == "dosing" and event.data["n"] == first:
            asyncio.get_running_loop().call_later(later_s, begin, rig)
        if event.kind == "reference_checked" and event.data["outcome"] != "steady" and not signs:
            signs.append(event.data["outcome"])
            times["seen"] = asyncio.get_running_loop().time()
            campaign.interrupt()

    with tempfile.TemporaryDirectory() as folder, outages():
        run = rehearse(loaded, Path(folder) / "run.sqlite", watch=watch)
    after_s = times.get("seen", math.nan) - times.get("fault", math.nan)
    return Seen(row.name, seed, signs[0] if signs else None, after_s, run.state.safe is True)


@dataclass(frozen=True)
class Quiet:
    """A campaign in which nothing is wrong: experiments told, and every trip, outage or other alarm there was."""

    seed: int
    told: int
    alarms: tuple[str, ...]


def nominal(seed: int, experiments: int) -> Quiet:
    """Run a campaign where nothing is wrong."""
    loaded = seeded(small(experiments), seed)
    with tempfile.TemporaryDirectory() as folder, outages() as heard:
        run = rehearse(loaded, Path(folder) / "run.sqlite")
    words = [str(trip["interlock"]) for trip in run.state.trips] + ["outage"] * len(heard.times_s)
    words += ["disturbed"] * run.kinds.count("disturbed")
    words += [f"reference {each['outcome']}" for each in run.state.references if each["outcome"] != "steady"]
    words += ["bubble" for each in run.state.told if "bubble" in each.flags]
    return Quiet(seed, len(run.state.told), tuple(words))


@dataclass(frozen=True)
class Bubble:
    """A bubble of this share of the cell that came between the last look and the measurement, and its flags."""

    share: float
    seed: int
    flagged: bool
    accepted: bool


def bubble(share: float, seed: int) -> Bubble:
    """Put a partial bubble into the cell before a measurement."""
    flags, accepted, _, _ = _optics(FaultKind.BUBBLE, seed, share, 600.0)
    return Bubble(share, seed, "bubble" in flags, accepted)


def matrix_table(seen: Sequence[Seen]) -> Iterator[str]:
    """The matrix as Markdown: detected within the bound, when, and by what."""
    yield "| fault | seeds | detected in time | bound | is the sum of | median | slowest | by | survived |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in ROWS:
        mine = [s for s in seen if s.row == row.name]
        if not mine:
            continue
        good = [s for s in mine if in_time(row, s)]
        times = [s.after_s for s in mine if s.sign is not None] or [math.nan]
        middle, slowest = statistics.median(times), max(times)
        signs = ", ".join(sorted({s.sign or "nothing" for s in mine}))
        survived = f"{sum(s.working for s in mine)}/{len(mine)}" if row.survived else "-"
        yield (
            f"| {row.name} | {len(mine)} | {len(good)}/{len(mine)} | {row.bound.s:.0f} s | {row.bound.why} | "
            f"{middle:.1f} s | {slowest:.1f} s | {signs} | {survived} |"
        )


def limit_table(bubbles: Sequence[Bubble]) -> Iterator[str]:
    """How often a bubble of each size was flagged."""
    yield "| bubble's share of the cell | experiments | flagged | taken as good |"
    yield "|---|---|---|---|"
    for share in sorted({each.share for each in bubbles}):
        mine = [each for each in bubbles if each.share == share]
        flagged, good = sum(each.flagged for each in mine), sum(each.accepted for each in mine)
        yield f"| {100 * share:g} % | {len(mine)} | {flagged}/{len(mine)} | {good}/{len(mine)} |"


def in_time(row: Row, seen: Seen) -> bool:
    """Whether a run showed a sign that counts, soon enough, and the devices lived where they should."""
    return seen.sign in row.signs and seen.after_s <= row.bound.s and (seen.working or not row.survived)


def enough(told: Sequence[Quiet], wanted: int) -> bool:
    """Whether so many experiments have been told."""
    return sum(each.told for each in told) >= wanted


def main() -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--line-seeds", type=int, default=3, help="seeds of garbage on each of the pumps' lines")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", nargs="*", default=["matrix", "nominal", "limit", "garbage"])
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench-faults.jsonl")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kept = Kept(options.results, fingerprint(), options.jobs)
    seeds = range(1, options.seeds + 1)
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    if "matrix" in options.parts:
        seen = kept.run(detect, [(row.name, seed) for row in ROWS for seed in seeds], Seen)
        print("\n".join(matrix_table(seen)), end="\n\n")
        for miss in (s for s in seen if not in_time(next(r for r in ROWS if r.name == s.row), s)):
            print(f"missed: {miss}", file=sys.stderr)
    if "nominal" in options.parts:
        quiet: list[Quiet] = []
        while not enough(quiet, options.experiments):
            # Campaigns that end early leave some to be run.
            quiet = kept.run(nominal, [(seed, 25) for seed in range(1, len(quiet) + 9)], Quiet)
        alarms = [word for each in quiet for word in each.alarms]
        told = sum(each.told for each in quiet)
        print(f"nominal: {told} experiments in {len(quiet)} campaigns, {len(alarms)} false alarms {alarms}\n")
    if "limit" in options.parts:
        found = kept.run(bubble, [(share, seed) for share in BUBBLES for seed in seeds], Bubble)
        print("\n".join(limit_table(found)), end="\n\n")
    if "garbage" in options.parts:
        of_lines = range(1, options.line_seeds + 1)
        lines = [
            together(kept.run(garbage, [(seed, options.hours, lines) for seed in of_lines], Garbage))
            for lines in PUMP_LINES
        ]
        heaters = kept.run(heater_garbage, [(1, options.hours, name) for name in EVERY_HEATER], Garbage)
        print("\n".join(garbage_table([*lines, *heaters])))


if __name__ == "__main__":
    main()
