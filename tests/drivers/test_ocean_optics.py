"""The spectrometer driver through the true seabreeze and pyusb, against its USB twin in virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import (
    DriverError,
    NotConnectedError,
    OceanSpectrometer,
    OutOfRangeError,
    PortError,
    ReadBackError,
    RefusedError,
    SpectrometerIdentity,
    WireTimeoutError,
)
from drivers.ocean_models import LampLine, corrected
from drivers.ocean_obp import SET_INTEGRATION_US, SET_LAMP_ENABLE, check_acknowledged, encode_command
from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from simulators import wire_ocean_obp as obp
from simulators.usb_bus import UsbBus, register_usb, unregister_usb
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


@pytest.mark.parametrize("duration_s", [0.0009, 65.00001, 100.0, float("nan"), float("inf")])
def test_an_integration_time_out_of_range_is_refused(duration_s: float) -> None:
    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        with pytest.raises(OutOfRangeError, match=r"0\.001 to 65 s"):
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


class CountedBus(UsbBus):
    """A bus that counts its resets."""

    resets = 0

    def reset_device(self, dev_handle: OceanTwin) -> None:
        self.resets += 1
        super().reset_device(dev_handle)


def test_what_was_only_looked_at_or_abandoned_is_not_reset_when_its_handle_is_collected() -> None:
    async def main() -> None:
        twins = [OceanTwin(LampAndPeak(), serial_number=f"USB2+T0000{i}") for i in range(2)]
        bus = CountedBus(twins, blocking_clock(asyncio.get_running_loop()))
        backend = register_usb(bus)
        ours, theirs = (OceanSpectrometer(f"USB2+T0000{i}", backend, name=f"s{i}") for i in range(2))
        await ours.connect()
        await theirs.connect()
        twins[0].hang()
        with pytest.raises(WireTimeoutError):
            await ours.acquire()
        twins[0].hang(False)
        await asyncio.sleep(10.0)
        await ours.connect()
        gc.collect()
        assert bus.resets == 0
        assert (await ours.acquire()).shape == (await theirs.acquire()).shape == (2048,)
        await ours.close()
        await theirs.close()
        unregister_usb(backend)

    run_virtual(main())


def test_a_verb_before_connect_says_so() -> None:
    async def main() -> None:
        with pytest.raises(NotConnectedError):
            await OceanSpectrometer(backend="none").acquire()

    run_virtual(main())


# ---- the other families ----------------------------------------------------------------------------------------------

FAMILIES = {
    "USB2000PLUS": (2048, 65535.0, (0.001, 65.0), 15),
    "FLAMES": (2048, 65535.0, (0.001, 65.0), 15),
    "USB4000": (3840, 65535.0, (1e-05, 65.0), 11),
    "STS": (1024, 16383.0, (1e-05, 85.0), 0),
    "QEPRO": (1044, 262143.0, (0.008, 1600.0), 8),
    "HDX": (2068, 65535.0, (0.006, 10.0), 0),
}
every_family = pytest.mark.parametrize("model", FAMILIES)


def family_bench(model: str, **changes: float) -> tuple[OceanTwin, LampAndPeak]:
    plant = LampAndPeak(pixels=FAMILIES[model][0], **changes)  # type: ignore[arg-type]
    return OceanTwin(plant, model=model, serial_number=f"{model[:4]}00042"), plant


@every_family
def test_each_family_says_what_it_is_and_measures(model: str) -> None:
    twin, plant = family_bench(model)
    pixels, full_scale, integration_range_s, dark_pixels = FAMILIES[model]

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, _: LampAndPeak) -> None:
        identity = spectrometer.identity
        assert (identity.model, identity.pixels, identity.full_scale_counts) == (model, pixels, full_scale)
        assert identity.integration_range_s == integration_range_s
        assert len(identity.dark_pixels) == dark_pixels
        assert await spectrometer.wavelengths_nm() == pytest.approx(twin.wavelengths_nm, rel=1e-6)
        assert await spectrometer.set_integration(0.05) == 0.05
        await spectrometer.set_lamp(True)
        assert plant.on
        await spectrometer.acquire()
        began_s = asyncio.get_running_loop().time()
        counts = await spectrometer.acquire()
        assert plant.exposures[-1] == (began_s, 0.05, True)
        assert counts.shape == (pixels,)
        assert counts.max() == round(1000.25 + 10_000.0)
        assert int(counts.argmax()) == 1000
        assert counts.min() == 1000.0
        await spectrometer.set_lamp(False)
        assert not plant.on

    play(scenario, twin=twin)


@every_family
def test_each_family_saturates_at_its_own_full_scale(model: str) -> None:
    twin, _ = family_bench(model, counts_per_s=1e7)

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_lamp(True)
        await spectrometer.acquire()
        counts = await spectrometer.acquire()
        assert np.count_nonzero(counts == FAMILIES[model][1]) > 20
        assert counts.max() == FAMILIES[model][1]

    play(scenario, twin=twin)


@every_family
def test_each_family_refuses_what_its_detector_cannot_do(model: str) -> None:
    twin, _ = family_bench(model)

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        low, high = spectrometer.identity.integration_range_s
        for duration_s in (low * 0.9, high + 1e-6):
            with pytest.raises(OutOfRangeError, match=f"{low:g} to {high:g} s"):
                await spectrometer.set_integration(duration_s)
        for duration_s in (high, high - 1e-7, high - 1e-6):
            assert await spectrometer.set_integration(duration_s) == pytest.approx(high - 1e-6, abs=1e-9)
        assert await spectrometer.set_integration(low - 1e-10) == low
        await spectrometer.acquire()

    play(scenario, twin=twin)


@every_family
def test_each_family_survives_a_hang_and_an_unplug(model: str) -> None:
    twin, _ = family_bench(model)

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        twin.hang()
        with pytest.raises(WireTimeoutError):
            await spectrometer.acquire()
        twin.hang(False)
        await spectrometer.connect()
        twin.unplug()
        with pytest.raises(PortError, match="unplugged"):
            await spectrometer.acquire()
        twin.plug()
        await spectrometer.connect()
        assert (await spectrometer.acquire()).shape == (FAMILIES[model][0],)

    play(scenario, twin=twin)


@pytest.mark.parametrize("model", ["USB4000", "STS"])
def test_a_device_that_keeps_its_old_integration_time_is_caught(model: str) -> None:
    """seabreeze itself reads nothing back and swallows the refusal of a binary device."""
    twin, _ = family_bench(model)
    # A firmware that allows less than its family's data sheet.
    twin.model = replace(twin.model, longest_us=2_000_000)

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        with pytest.raises((ReadBackError, RefusedError), match=r"did not take|payload data invalid"):
            await spectrometer.set_integration(5.0)

    play(scenario, twin=twin)


def test_an_absorption_shutter_that_a_high_line_closes() -> None:
    async def main() -> None:
        plant = LampAndPeak(pixels=1024)
        twin = OceanTwin(plant, model="STS", serial_number="S00001", lamp_high_is_on=False)
        lamp = LampLine("absorption", high_is_on=False, settle_s=2.0)
        loop = asyncio.get_running_loop()
        with usb_bus([twin], blocking_clock(loop)) as backend:
            spectrometer = OceanSpectrometer(backend=backend, lamp=lamp)
            await spectrometer.connect()
            assert spectrometer.lamp.mode == "absorption"
            lit = [plant.on]
            began_s = loop.time()
            for on in (True, False):
                await spectrometer.set_lamp(on)
                lit.append(plant.on)
            assert lit == [False, True, False]
            assert loop.time() - began_s == pytest.approx(2.0)
            await spectrometer.close()

    run_virtual(main())


def test_a_lamp_without_a_line_cannot_be_switched_off() -> None:
    async def main() -> None:
        twin, plant = family_bench("QEPRO")
        plant.on = True
        with usb_bus([twin], blocking_clock(asyncio.get_running_loop())) as backend:
            spectrometer = OceanSpectrometer(backend=backend, lamp=LampLine("absorption", wired=False))
            await spectrometer.connect()
            await spectrometer.set_lamp(True)
            assert plant.on
            with pytest.raises(RefusedError, match="the lamp has no line"):
                await spectrometer.set_lamp(False)
            await spectrometer.close()

    run_virtual(main())


def test_corrections_are_those_of_the_model() -> None:
    twin = OceanTwin(LampAndPeak(dark_counts=500.0), serial_number="U1", nonlinearity=(1.0, -1e-6))

    async def scenario(spectrometer: OceanSpectrometer, twin: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_lamp(True)
        await spectrometer.acquire()
        counts = await spectrometer.acquire()
        peak = float(counts.max()) - 500.0
        fixed = corrected(counts, spectrometer.identity)
        assert fixed.min() == 0.0
        assert fixed.max() == pytest.approx(peak / (1.0 - 1e-6 * peak))
        assert corrected(counts, spectrometer.identity, nonlinearity=False).max() == peak
        assert corrected(counts, spectrometer.identity, dark_pixels=False).min() == 500.0

    play(scenario, twin=twin)
    bare = SpectrometerIdentity("STS", "S1", 1024, 16383.0, (1e-5, 85.0))
    with pytest.raises(RefusedError, match="no dark pixels"):
        corrected(np.zeros(1024), bare)
    with pytest.raises(RefusedError, match="no linearity polynomial"):
        corrected(np.zeros(1024), bare, dark_pixels=False)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        bytes(64),
        encode_command(SET_LAMP_ENABLE, b"\x01"),
        obp.acknowledgement(SET_INTEGRATION_US),
        obp.refusal(SET_LAMP_ENABLE, 6),
    ],
)
def test_only_an_acknowledgement_of_the_command_is_one(answer: bytes) -> None:
    with pytest.raises(DriverError):
        check_acknowledged(answer, SET_LAMP_ENABLE)
    check_acknowledged(obp.acknowledgement(SET_LAMP_ENABLE), SET_LAMP_ENABLE)


@given(st.binary(min_size=64, max_size=64) | st.binary(max_size=80))
def test_no_answer_whatever_breaks_the_acknowledgement(answer: bytes) -> None:
    with pytest.raises(DriverError):
        check_acknowledged(answer, SET_LAMP_ENABLE)


class ListeningTwin(OceanTwin):
    """Keeps what the host sends."""

    heard: tuple[bytes, ...] = ()

    def write(self, t_s: float, data: bytes) -> None:
        self.heard = (*self.heard, data)
        super().write(t_s, data)


def test_our_command_is_the_one_seabreeze_builds() -> None:
    twin = ListeningTwin(LampAndPeak(pixels=1024), model="STS")

    async def scenario(spectrometer: OceanSpectrometer, _: OceanTwin, plant: LampAndPeak) -> None:
        await spectrometer.set_integration(0.25)
        ours, theirs = twin.heard[-2:]
        assert ours == theirs == encode_command(SET_INTEGRATION_US, (250_000).to_bytes(4, "little"))

    play(scenario, twin=twin)
