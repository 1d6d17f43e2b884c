"""The flush of the safe sequence: until the reactor is known to be cold, and otherwise for as long as is allowed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import LostDeviceError
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.rig.devices import HeaterReading
from orchestrator.rig.rig import Rig, make_safe
from simulators.faults import FaultKind
from tests.orchestrator.rehearsal import rehearse, rig_on_twins, small

AT_MOST_S = 600.0
UNTIL_C = 60.0
Spoil = Callable[[Rig], None]


def flushed(spoil: Spoil | None = None, watchdog_s: int = 30) -> tuple[bool, str, float]:
    """The flush of a hot bench: whether it went well, what was said of it, and the µL of solvent that it took."""
    said: dict[str, tuple[bool, str]] = {}

    async def report(step: str, ok: bool, detail: str) -> None:
        said[step] = (ok, detail)

    async def main() -> float:
        rig = rig_on_twins(**{"safe_mode_timeout: 30 s": f"safe_mode_timeout: {watchdog_s} s"})
        await rig.connect()
        await rig.heater.set_temperature(120.0)
        for _ in range(900 // watchdog_s):
            await asyncio.sleep(watchdog_s / 3.0)
            await rig.count()  # nobody watches: each pump would stop itself
        if spoil is not None:
            spoil(rig)
        before_ul = (await rig.pumps["solvent"].status()).infused_ul
        await make_safe(rig, report)
        took_ul = (await rig.pumps["solvent"].status()).infused_ul - before_ul
        await rig.close()
        return took_ul

    took_ul = run_virtual(main())
    return (*said["flush"], took_ul)


def reads(answer: Callable[[], Coroutine[Any, Any, HeaterReading]]) -> Spoil:
    def spoil(rig: Rig) -> None:
        rig.heater.read = answer  # type: ignore[method-assign]

    return spoil


async def _lost() -> HeaterReading:
    raise LostDeviceError("no answer", outage_s=30.0, device="oven")


async def _silent() -> HeaterReading:
    silence: asyncio.Future[HeaterReading] = asyncio.get_running_loop().create_future()
    return await silence


def test_it_ends_once_the_reactor_is_cold_enough() -> None:
    ok, detail, took_ul = flushed()
    assert ok
    assert 400.0 * 30.0 / 60.0 < took_ul < 400.0 * 0.9 * AT_MOST_S / 60.0
    assert UNTIL_C - 5.0 < float(detail.split("down to ")[1].split()[0]) <= UNTIL_C


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rig: rig.faults.inject(asyncio.get_running_loop(), FaultKind.SENSOR_BREAK, "oven"),
        reads(_lost),
        reads(_silent),
    ],
    ids=["a broken sensor", "a heater that is lost", "a heater that never answers"],
)
def test_while_nobody_knows_how_hot_the_reactor_is_it_goes_on_for_as_long_as_is_allowed(spoil: Spoil) -> None:
    ok, detail, took_ul = flushed(spoil)
    assert ok
    assert detail.endswith("the temperature unknown")
    assert took_ul == pytest.approx(400.0 * AT_MOST_S / 60.0, rel=0.05)


def test_it_ends_by_the_temperature_when_that_is_known_again() -> None:
    looks = iter([math.nan, 150.0, math.nan, 59.0])

    async def now_and_then() -> HeaterReading:
        return HeaterReading(next(looks), 0.0, 0.0, ())

    ok, detail, _ = flushed(reads(now_and_then))
    assert ok
    assert detail.endswith("down to 59.0 °C")


@pytest.mark.parametrize("spoil", [None, reads(_silent)], ids=["cooling", "a heater that never answers"])
def test_it_speaks_to_its_pump_before_a_short_watchdog_stops_it(spoil: Spoil | None) -> None:
    ok, detail, took_ul = flushed(spoil, watchdog_s=3)
    flush_s = float(detail.split(" s at ")[0])
    assert ok
    assert took_ul == pytest.approx(400.0 * flush_s / 60.0, rel=0.05)


def test_a_run_that_ends_because_its_sensor_broke_rinses_its_hot_tube(tmp_path: Path) -> None:
    faults = "twin:\n  faults:\n    - {fault: sensor_break, device: oven, at: 10 min}\n"
    ended = rehearse(small(2, **{"twin:\n  ambient": faults + "  ambient"}), tmp_path / "run.sqlite")
    assert ended.state.trips[0]["interlock"] == "heater fault"
    (flush,) = [step for step in ended.state.safe_steps if step["step"] == "flush"]
    assert flush["ok"] is True
    assert float(flush["detail"].split(" s at ")[0]) >= AT_MOST_S
