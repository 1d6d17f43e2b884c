"""What every spectrometer owes its rig: six families through the true seabreeze and pyusb, and the exported files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers import (
    FolderSpectrometer,
    NotConnectedError,
    OceanSpectrometer,
    OutOfRangeError,
    PortError,
    Quality,
    RecoveringSpectrometer,
    RecoveryRules,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from simulators.ocean_models import MODELS
from simulators.wire_folder import FolderTwin
from simulators.wire_ocean import OceanTwin, usb_bus
from tests.contract.plants import LampAndPeak

FAMILIES = [*MODELS, "folder"]
every = pytest.mark.parametrize("family", FAMILIES)


class FolderBench:
    """The exporting software of an instrument, with the two ways in which it goes away."""

    def __init__(self, folder: Path, plant: LampAndPeak) -> None:
        self._folder = folder
        self._twin = FolderTwin(plant, folder, 350.0 + 0.4 * np.arange(64.0), integration_s=0.1, period_s=0.5)
        self._twin.start(asyncio.get_running_loop())

    def unplug(self) -> None:
        self._folder.rename(self._folder.with_name("gone"))

    def plug(self) -> None:
        self._folder.with_name("gone").rename(self._folder)

    def hang(self, hung: bool = True) -> None:
        if hung:
            self._twin.stop()
        else:
            self._twin.start(asyncio.get_running_loop())


@asynccontextmanager
async def on_the_bench(family: str, folder: Path) -> AsyncIterator[tuple[Any, Any, int]]:
    """Driver, what can be unplugged or hung, and how many points a spectrum has."""
    if family == "folder":
        folder = folder / "spectra"
        folder.mkdir()
        bench = FolderBench(folder, LampAndPeak(pixels=64))
        yield (
            FolderSpectrometer(
                folder, integration_s=0.1, stable_s=0.1, poll_s=0.05, timeout_s=3.0, lamp="external", name="mine"
            ),
            bench,
            64,
        )
        bench.hang()
        return
    pixels = MODELS[family].pixels
    twin = OceanTwin(LampAndPeak(pixels=pixels), serial_number="SN00042", model=family)
    with usb_bus([twin], blocking_clock(asyncio.get_running_loop())) as backend:
        yield OceanSpectrometer(backend=backend, name="mine"), twin, pixels


@every
def test_it_says_who_it_is_sets_reads_and_closes_twice(family: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_bench(family, tmp_path) as (device, _, pixels):
            await device.close()
            look = await device.look()
            assert look.identity and look.state and look.reading
            assert device.name == "mine"
            assert await device.connect()
            for _ in range(2):
                assert await device.set_integration(0.1) == pytest.approx(0.1)
            await device.set_lamp(True)
            await device.acquire()
            counts = await device.acquire()
            assert counts.shape == (await device.wavelengths_nm()).shape == (pixels,)
            assert 0.0 < counts.max() <= device.full_scale_counts
            with pytest.raises(OutOfRangeError) as caught:
                await device.set_integration(1e6)
            assert caught.value.device == "mine"
            assert (await device.look()).identity
            for _ in range(2):
                await device.close()
            with pytest.raises(NotConnectedError, match="mine"):
                await device.acquire()

    run_virtual(main())


@every
def test_unplugged_it_names_itself_and_hung_it_is_a_timeout(family: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_bench(family, tmp_path) as (device, bench, _):
            await device.connect()
            await device.set_integration(0.1)
            bench.hang()
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(WireTimeoutError, match="mine"):
                await device.acquire()
            assert asyncio.get_running_loop().time() - began_s < 10.0
            bench.hang(False)
            # The read that was abandoned still holds the device until USB gives it up.
            await asyncio.sleep(10.0)
            await device.connect()
            await device.acquire()
            bench.unplug()
            with pytest.raises(PortError, match="mine"):
                await device.acquire()
            bench.plug()
            await device.connect()
            await device.acquire()
            await device.close()

    run_virtual(main())


@every
@pytest.mark.parametrize("how", ["unplugged", "hung"])
def test_an_outage_is_survived_on_the_ladder(family: str, how: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_bench(family, tmp_path) as (driver, bench, pixels):
            device = RecoveringSpectrometer(driver, RecoveryRules(bound_s=60.0), seed=3)
            await device.connect()
            await device.set_integration(0.1)
            await device.set_lamp(True)
            await device.acquire()
            loop = asyncio.get_running_loop()
            if how == "unplugged":
                bench.unplug()
                loop.call_later(12.0, bench.plug)
            else:
                bench.hang()
                loop.call_later(12.0, bench.hang, False)
            assert (await device.acquire()).shape == (pixels,)
            assert device.latest is not None
            assert (device.latest.quality, device.latest.age_s(loop.time())) == (Quality.GOOD, 0.0)
            assert driver.integration_s == pytest.approx(0.1)
            assert device.outages == 1
            await device.close()

    run_virtual(main())


@every
def test_a_caller_cancelled_in_mid_spectrum_leaves_the_device_usable(family: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_bench(family, tmp_path) as (device, _, pixels):
            await device.connect()
            await device.set_integration(0.1)
            for after_s in (0.01, 0.07, 0.2):
                waiting = asyncio.ensure_future(device.acquire())
                await asyncio.sleep(after_s)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            assert (await device.acquire()).shape == (pixels,)
            await device.close()

    run_virtual(main())
