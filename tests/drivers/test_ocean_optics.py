"""The spectrometer driver through the true seabreeze and pyusb, against its USB twin in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from drivers import (
    DriverError,
    NotConnectedError,
    OceanSpectrometer,
    OutOfRangeError,
    PortError,
    WireTimeoutError,
)
from orchestrator.virtual_time import blocking_clock, run_virtual
from simulators.wire_ocean import OceanTwin, usb_bus
from tests.contract.plants import LampAndPeak

Scenario = Callable[[OceanSpectrometer, OceanTwin, LampAndPeak], Awaitable[None]]


def play(scenario: Scenario, *, twin: OceanTwin | None = None) -> None:
    async def main() -> None:
        plant = LampAndPeak()
        instrument = twin or OceanTwin(plant, serial_number="USB2+T00042")
        with usb_bus([instrument], blocking_clock(asyncio.get_running_loop())) as backend:
            spectrometer = OceanSpectrometer(backend=backend)
            await spectrometer.connect()
            await scenario(spectrometer, instrument, plant)
            await spectrometer.close()

    run_virtual(main())


def test_a_spectrometer_says_what_it_is_and_measures() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        assert str(spectrometer.identity) == (
            "USB2000PLUS USB2+T00042, 2048 pixels, full scale 65535 counts, 0.001 to 65 s"
        )
        assert spectrometer.full_scale_counts == 65535.0
        wavelengths = await spectrometer.wavelengths_nm()
        assert wavelengths == pytest.approx(twin.wavelengths_nm)
        assert np.all(np.diff(wavelengths) > 0)
        loop = asyncio.get_running_loop()
        assert await spectrometer.set_integration(0.2) == 0.2
        await spectrometer.set_lamp(True)
        await spectrometer.acquire()
        began_s = loop.time()
        counts = await spectrometer.acquire()
        assert loop.time() - began_s == pytest.approx(0.205, abs=1e-6)
        assert counts.shape == (2048,)
        assert counts.max() == round(1000.25 + 40_000.0)
        assert counts.min() == 1000.0
        assert plant.exposures[-1] == (began_s, 0.2, True)

    play(scenario)


def test_the_first_spectrum_after_a_change_is_old() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_integration(0.2)
        await spectrometer.set_lamp(True)
        peaks = [float((await spectrometer.acquire()).max()) for _ in range(2)]
        await spectrometer.set_integration(0.1)
        peaks += [float((await spectrometer.acquire()).max()) for _ in range(2)]
        assert peaks == [1000.0, 41000.0, 41000.0, 21000.0]
        assert plant.on

    play(scenario)


def test_a_much_shorter_integration_waits_for_the_long_spectrum_under_way() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_integration(20.0)
        for _ in range(2):
            await spectrometer.acquire()
        await spectrometer.set_integration(0.01)
        await spectrometer.acquire()
        began_s = asyncio.get_running_loop().time()
        await spectrometer.acquire()
        assert asyncio.get_running_loop().time() - began_s < 0.1
        twin.hang()
        with pytest.raises(WireTimeoutError):
            await spectrometer.acquire()
        assert asyncio.get_running_loop().time() - began_s < 5.0

    play(scenario)


def test_a_saturated_spectrum_is_flat_at_full_scale() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_lamp(True)
        await spectrometer.set_integration(2.0)
        await spectrometer.acquire()
        counts = await spectrometer.acquire()
        assert np.count_nonzero(counts == 65535.0) > 50

    play(scenario)


def test_counts_are_rescaled_from_the_saturation_slot() -> None:
    plant = LampAndPeak(dark_counts=65535.0)

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, _: LampAndPeak) -> None:
        assert (await spectrometer.acquire()).max() == pytest.approx(65535.0)

    play(scenario, twin=OceanTwin(plant, saturation_counts=30000))


@pytest.mark.parametrize("duration_s", [0.0009, 65.0, 100.0, float("nan")])
def test_an_integration_time_out_of_range_is_refused(duration_s: float) -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        with pytest.raises(OutOfRangeError, match=r"0\.001 <= t < 65 s"):
            await spectrometer.set_integration(duration_s)
        assert spectrometer.integration_s == 0.1

    play(scenario)


def test_an_unplugged_spectrometer_is_a_port_error_and_can_come_back() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        twin.unplug()
        with pytest.raises(PortError, match="unplugged"):
            await spectrometer.acquire()
        with pytest.raises(NotConnectedError):
            await spectrometer.acquire()
        with pytest.raises(PortError, match="no spectrometer found"):
            await spectrometer.connect()
        twin.plug()
        await spectrometer.connect()
        assert (await spectrometer.acquire()).shape == (2048,)

    play(scenario)


def test_an_unplug_in_the_middle_of_a_spectrum_is_noticed_when_it_ends() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_integration(5.0)
        await spectrometer.acquire()
        asyncio.get_running_loop().call_later(2.0, twin.unplug)
        with pytest.raises(PortError, match="unplugged"):
            await spectrometer.acquire()

    play(scenario)


def test_a_hung_spectrometer_meets_the_hosts_deadline() -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        loop = asyncio.get_running_loop()
        twin.hang()
        began_s = loop.time()
        with pytest.raises(WireTimeoutError, match=r"nothing came within 2\.1 s"):
            await spectrometer.acquire()
        assert loop.time() - began_s == pytest.approx(2.1)
        with pytest.raises(DriverError):
            await spectrometer.set_lamp(False)
        twin.hang(False)
        await spectrometer.connect()
        assert (await spectrometer.acquire()).shape == (2048,)

    play(scenario)


def test_the_right_one_of_two_spectrometers_is_opened() -> None:
    async def main() -> None:
        twins = [OceanTwin(LampAndPeak(), serial_number=f"USB2+T0000{i}") for i in range(2)]
        with usb_bus(twins, blocking_clock(asyncio.get_running_loop())) as backend:
            spectrometer = OceanSpectrometer("USB2+T00001", backend)
            await spectrometer.connect()
            assert spectrometer.identity.serial_number == "USB2+T00001"
            other = OceanSpectrometer("USB2+T00009", backend, name="other")
            with pytest.raises(PortError, match="no such spectrometer"):
                await other.connect()
            await spectrometer.close()

    run_virtual(main())


def test_a_verb_before_connect_says_so() -> None:
    async def main() -> None:
        with pytest.raises(NotConnectedError):
            await OceanSpectrometer(backend="none").acquire()

    run_virtual(main())
