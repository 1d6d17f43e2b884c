"""What is the serial thermostats' own: Julabo's silence after commands, IKA's watchdog."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import (
    DriverError,
    IkaHotplate,
    JulaboCirculator,
    Line,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
)
from drivers.ika import parse_status as parse_plate_status
from drivers.ika import parse_value
from drivers.julabo import CirculatorStatus, parse_mode, parse_status, parse_temperature
from drivers.line_heater import answer_text, parse_number
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from tests.contract.heaters import Tap
from tests.contract.plants import FaultyWire, LaggingHeater

Bath = Callable[[JulaboCirculator, LaggingHeater, JulaboTwin, Tap], Awaitable[None]]
Plate = Callable[[IkaHotplate, LaggingHeater, IkaTwin, Tap], Awaitable[None]]


def with_a_bath(scenario: Bath, *, twin: Callable[[LaggingHeater], JulaboTwin] = JulaboTwin, decimals: int = 2) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        circulator = twin(plant)
        tap = Tap(circulator)
        line = Line(MemoryTransport(tap, baud_rate=4800))
        await scenario(JulaboCirculator(line, decimals=decimals, name="bath"), plant, circulator, tap)

    run_virtual(main())


def with_a_plate(
    scenario: Plate, *, mode: int = 1, watchdog_s: int = 30, reports_state: bool = True, forgets: bool = False
) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = IkaTwin(plant, forgets_set_point=forgets)
        tap = Tap(twin)
        heater = IkaHotplate(
            Line(MemoryTransport(tap, baud_rate=9600)),
            watchdog_s=watchdog_s,
            watchdog_mode=2 if mode == 2 else 1,
            reports_state=reports_state,
            name="plate",
        )
        assert await heater.connect() == "IKA RCT digital"
        await scenario(heater, plant, twin, tap)

    run_virtual(main())


# ---- Julabo ---------------------------------------------------------------------------------------------------------


def test_the_manuals_set_point_command() -> None:
    """Manuals of the SC and FL series, "Examples": out_sp_00 55.5 and in_sp_00, each ended by CR."""

    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        assert await bath.set_temperature(55.5) == 55.5
        assert b"out_sp_00 55.5\r" in tap.said
        assert b"in_sp_00\r" in tap.said
        assert b"out_mode_05 1\r" in tap.said

    with_a_bath(scenario, decimals=1)


def test_the_line_rests_after_each_command() -> None:
    """The twin loses whatever comes sooner than 250 ms after a command, so nothing works without the rests."""

    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(80.0)
        await bath.heater_off()
        answered = [said for said in tap.said if not said.startswith(b"out_")]
        assert len(tap.heard) == len(answered)

    with_a_bath(scenario)


def test_a_circulator_under_manual_control_is_refused() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        twin.remote = False
        with pytest.raises(RefusedError, match=r"remote control.*answered 00 MANUAL STOP"):
            await bath.connect()
        twin.remote = True
        assert "JULABO" in await bath.connect()
        twin.remote = False
        with pytest.raises(RefusedError, match="command not allowed in current operating mode"):
            await bath.set_temperature(60.0)

    with_a_bath(scenario)


def test_a_circulator_that_was_taken_to_its_panel_while_it_runs_says_that_it_cannot_be_commanded() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        assert not (await bath.read()).heater_fail
        twin.remote = False
        assert (await bath.read()).heater_fail
        await bath.refresh()
        assert plant.automatic
        twin.remote = True
        assert not (await bath.read()).heater_fail

    with_a_bath(scenario)


def test_a_set_point_outside_the_circulators_range_is_refused_in_its_words() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        with pytest.raises(RefusedError, match="value too large"):
            await bath.set_temperature(120.0)
        with pytest.raises(RefusedError, match="value too small"):
            await bath.set_temperature(12.0)
        with pytest.raises(RefusedError, match="value exceeds temperature limits"):
            await bath.set_temperature(90.0)
        assert plant.target_c == 90.0
        await bath.heater_off()

    def narrow(plant: LaggingHeater) -> JulaboTwin:
        return JulaboTwin(plant, set_point_range_c=(15.0, 100.0), warning_limits_c=(15.0, 80.0))

    with_a_bath(scenario, twin=narrow)


def test_a_command_that_arrives_spoilt_is_sent_again() -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = JulaboTwin(plant)
        spoil = [True, False, True, False]

        class Spoiled(Tap):
            def receive(self, data: bytes) -> None:
                if data.startswith(b"out_") and spoil and spoil.pop(0):
                    data = data.replace(b"_", b"~", 1)
                super().receive(data)

        bath = JulaboCirculator(Line(MemoryTransport(Spoiled(twin), baud_rate=4800)))
        await bath.connect()
        assert await bath.set_temperature(80.0) == 80.0
        assert (plant.automatic, plant.target_c) == (True, 80.0)
        assert not spoil

    run_virtual(main())


@pytest.mark.parametrize(
    ("alarm", "flag"),
    [
        ("-01 LOW LEVEL ALARM", "heater_fail"),
        ("-03 EXCESS TEMPERATURE WARNING", "out_of_range"),
        ("-05 WORKING SENSOR ALARM", "sensor_break"),
        ("-33 SAFETY SENSOR ALARM", "heater_fail"),
    ],
)
def test_an_alarm_shows_as_the_flag_it_is(alarm: str, flag: str) -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        twin.raise_alarm(alarm)
        reading = await bath.read()
        flags = {
            "heater_fail": reading.heater_fail,
            "out_of_range": reading.out_of_range,
            "sensor_break": reading.sensor_break,
        }
        assert [name for name, is_set in flags.items() if is_set] == [flag]
        assert reading.alarm
        assert math.isnan(reading.temperature_c) is (flag == "sensor_break")
        twin.clear_alarm()
        # Stopped by the alarm, and nobody has started it again.
        assert (await bath.read()).heater_fail
        await bath.set_temperature(60.0)
        assert not (await bath.read()).heater_fail

    with_a_bath(scenario)


def test_cooling_is_no_heating_power() -> None:
    class Cooling(LaggingHeater):
        def output_fraction(self, t_s: float) -> float:
            return -0.4

    async def main() -> None:
        bath = JulaboCirculator(Line(MemoryTransport(JulaboTwin(Cooling()), baud_rate=4800)))
        await bath.connect()
        assert (await bath.read()).output_fraction == 0.0

    run_virtual(main())


def test_a_stop_that_does_not_take_is_an_error() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        stubborn = FaultyWire(twin, lambda data: [(0.0, b"1\r\n" if data == b"0\r\n" else data)])
        deaf = JulaboCirculator(Line(MemoryTransport(stubborn, baud_rate=4800)))
        await deaf.connect()
        with pytest.raises(ReadBackError, match="asked stopped; answered running"):
            await deaf.heater_off()

    with_a_bath(scenario)


def test_an_error_left_over_from_a_spoilt_exchange_is_not_the_circulators_state() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        tap.receive(b"in_pv~00\r")
        reading = await bath.read()
        assert not (reading.alarm or reading.heater_fail)

    with_a_bath(scenario)


# ---- IKA ------------------------------------------------------------------------------------------------------------


def test_the_watchdog_is_armed_before_the_plate_heats() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        assert not any(said.startswith(b"OUT_WD") for said in tap.said)
        await plate.set_temperature(100.0)
        assert b"OUT_SP_1 100.0 \r\n" in tap.said
        assert tap.said.index(b"OUT_WD1@30 \r\n") < tap.said.index(b"START_1 \r\n")

    with_a_plate(scenario)


def test_a_host_that_refreshes_keeps_the_plate_heating_and_a_silent_one_does_not() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        for _ in range(30):
            await asyncio.sleep(10.0)
            await plate.refresh()
            await plate.read()
        assert plant.automatic
        for _ in range(3):
            await asyncio.sleep(10.0)
            # Other exchanges do not feed it.
            await plate.read()
        await asyncio.sleep(1.0)
        assert not plant.automatic
        assert twin.watchdog_tripped
        reading = await plate.read()
        assert reading.heater_fail
        assert reading.alarm
        await plate.refresh()
        assert not plant.automatic
        with pytest.raises(ReadBackError, match="asked heating"):
            await plate.set_temperature(100.0)
        twin.power_cycle()
        await plate.set_temperature(100.0)
        assert plant.automatic

    with_a_plate(scenario)


def test_a_plate_that_is_off_stays_out_of_the_watchdogs_error_while_refreshed() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        await plate.heater_off()
        for _ in range(10):
            await asyncio.sleep(10.0)
            await plate.refresh()
        assert not twin.watchdog_tripped
        await plate.close()
        await asyncio.sleep(31.0)
        assert twin.watchdog_tripped

    with_a_plate(scenario)


def test_in_mode_2_a_silent_host_leaves_the_safe_set_point_behind() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        assert tap.said.index(b"OUT_SP_12@20 \r\n") < tap.said.index(b"OUT_WD2@40 \r\n")
        await asyncio.sleep(39.0)
        assert plant.target_c == 100.0
        await asyncio.sleep(2.0)
        assert plant.target_c == 20.0
        assert not twin.watchdog_tripped

    with_a_plate(scenario, mode=2, watchdog_s=40)


def test_in_mode_2_close_disarms_a_plate_that_is_off_and_only_that() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        await plate.close()
        assert b"OUT_WD2@0 \r\n" not in tap.said
        await plate.connect()
        await plate.heater_off()
        await plate.close()
        assert tap.said[-1] == b"OUT_WD2@0 \r\n"

    with_a_plate(scenario, mode=2)


def test_a_plate_that_forgets_its_set_point_at_start_is_told_again() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        assert await plate.set_temperature(100.0) == 100.0
        assert (plant.automatic, plant.target_c) == (True, 100.0)

    with_a_plate(scenario, forgets=True)


def test_a_set_point_altered_on_its_way_is_corrected() -> None:
    """The plate takes any sound number: without a checksum only the read-back shows it."""

    async def main() -> None:
        plant = LaggingHeater()

        class Altering(Tap):
            altered = False

            def receive(self, data: bytes) -> None:
                if data.startswith(b"OUT_SP_1") and not self.altered:
                    self.altered = True
                    data = data.replace(b"100.0", b"180.0")
                super().receive(data)

        plate = IkaHotplate(Line(MemoryTransport(Altering(IkaTwin(plant)), baud_rate=9600)))
        await plate.connect()
        assert await plate.set_temperature(100.0) == 100.0
        assert plant.target_c == 100.0

    run_virtual(main())


def test_stop_goes_out_whatever_the_plate_says_of_itself() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.heater_off()
        assert b"STOP_1 \r\n" in tap.said

    with_a_plate(scenario)


def test_a_plate_that_does_not_report_its_state_is_driven_without() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        assert math.isnan((await plate.read()).output_fraction)
        assert plant.automatic
        await plate.heater_off()
        assert (await plate.read()).output_fraction == 0.0
        assert not any(said.startswith(b"STATUS") for said in tap.said)

    with_a_plate(scenario, reports_state=False)


def test_a_watchdog_whose_echo_is_another_time_is_an_error_before_heat() -> None:
    async def main() -> None:
        tap = Tap(IkaTwin(LaggingHeater()))
        wire = FaultyWire(tap, lambda data: [(0.0, b"300 \r\n" if data == b"30 \r\n" else data)])
        plate = IkaHotplate(Line(MemoryTransport(wire, baud_rate=9600)))
        await plate.connect()
        with pytest.raises(ReadBackError, match="asked OUT_WD1@30; answered 300"):
            await plate.set_temperature(100.0)
        assert not any(said.startswith(b"START") for said in tap.said)

    run_virtual(main())


@pytest.mark.parametrize("watchdog_s", [19, 1501])
def test_a_watchdog_time_that_the_plate_cannot_keep_is_refused(watchdog_s: int) -> None:
    with pytest.raises(OutOfRangeError, match="watchdog time") as caught:
        IkaHotplate(Line(MemoryTransport(IkaTwin(LaggingHeater()))), watchdog_s=watchdog_s)
    assert (caught.value.low, caught.value.high) == (20, 1500)


# ---- the parsers ----------------------------------------------------------------------------------------------------


def test_answers_as_the_manuals_print_them() -> None:
    assert parse_status("02 REMOTE STOP") == CirculatorStatus(2, "REMOTE STOP")
    assert parse_status("-11 VALUE TOO LARGE") == CirculatorStatus(-11, "VALUE TOO LARGE")
    assert answer_text(b"55.5\n") == "55.5"
    assert parse_temperature("55.5") == 55.5
    assert math.isnan(parse_temperature("---.--"))
    assert (parse_mode("0"), parse_mode("1")) == (False, True)
    assert answer_text(b"24.7 1 \r\n") == "24.7 1"
    assert parse_value("24.7 1", 1) == 24.7
    assert parse_plate_status("12 1", 1) == 12


@pytest.mark.parametrize("text", ["nan", "1e3", "inf", "0x10", "1_0", "12345", "1.2345", "", "٣", "1 2", "--"])
def test_a_number_is_digits_and_nothing_else(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_number(text)


def test_a_value_of_another_channel_is_no_answer() -> None:
    with pytest.raises(ProtocolError, match="channel 1"):
        parse_value("1200 4", 1)
    with pytest.raises(ProtocolError, match="no status"):
        parse_plate_status("13 1", 1)


@given(st.binary(max_size=40))
def test_no_bytes_whatever_break_a_parser(answer: bytes) -> None:
    parsers: list[Callable[[str], object]] = [
        parse_number,
        parse_status,
        parse_temperature,
        parse_mode,
        lambda text: parse_value(text, 1),
        lambda text: parse_plate_status(text, 1),
    ]
    try:
        text = answer_text(answer)
    except ProtocolError:
        return
    for parse in parsers:
        try:
            parse(text)
        except DriverError as error:
            assert isinstance(error, ProtocolError)


@given(st.floats(-99.0, 999.0), st.sampled_from([1, 2]))
def test_what_a_twin_prints_is_what_the_driver_reads(value: float, channel: int) -> None:
    assert parse_value(f"{value:.1f} {channel}", channel) == pytest.approx(value, abs=0.051)
    assert parse_temperature(f"{value:.2f}") == pytest.approx(value, abs=0.0051)


# ---- Both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["julabo", "ika"])
def test_a_temperature_that_lost_or_doubled_a_digit_is_asked_for_again_and_a_true_jump_is_believed(make: str) -> None:
    spoil: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, spoil.pop() if spoil else data)]

    async def main() -> None:
        plant = LaggingHeater(temperature_c=84.5, ambient_c=84.5, target_c=84.5, automatic=False)
        twin: JulaboTwin | IkaTwin = JulaboTwin(plant) if make == "julabo" else IkaTwin(plant)
        line = Line(MemoryTransport(FaultyWire(twin, bend), baud_rate=9600))
        heater = JulaboCirculator(line) if make == "julabo" else IkaHotplate(line)
        await heater.connect()
        for spoilt in (b"4.50", b"884.5"):
            spoil.append(spoilt + (b"\r\n" if make == "julabo" else b" 1 \r\n"))
            assert (await heater.read()).temperature_c == pytest.approx(84.5)
            assert not spoil
        plant.temperature_c = plant.ambient_c = 20.0
        assert (await heater.read()).temperature_c == pytest.approx(20.0)

    run_virtual(main())
