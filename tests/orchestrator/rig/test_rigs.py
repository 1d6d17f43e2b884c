"""Rigs of other makers' devices: the shipped examples, every driver in a rig file, and what files get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from orchestrator.config import LoadedCampaign, RigConfig, load_campaign, load_rig, parse_campaign
from orchestrator.config.devices import BUILT_IN
from orchestrator.errors import ConfigError
from orchestrator.kinds import device_kinds
from orchestrator.rig.build import assemble_rig
from orchestrator.rig.devices_around import RigGas, RigPhase, RigValve
from orchestrator.rig.rig import Rig, make_safe
from tests.orchestrator.rehearsal import CONFIGS, rehearse

EXAMPLES = ["harvard-watlow", "cavro-julabo", "ika-hdx"]
BENCH = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
QUICKSTART = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()


class InMemory:
    """A tracer that only runs what it is given, and keeps large results."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def call(self, device: str, verb: str, args: object, action: Callable[[], Awaitable[Any]]) -> Any:
        return await action()

    def store(self, data: bytes) -> str:
        self.kept[str(len(self.kept))] = data
        return str(len(self.kept) - 1)

    def load(self, address: str) -> bytes:
        return self.kept[address]


def edited(old_device: str, new_device: str, ports: str = "", **edits: str) -> RigConfig:
    """The bench with one device's entry replaced, more ports, and further edits of its text."""
    text = BENCH
    begin = text.index(f"\n  {old_device}:\n", text.index("\ndevices:")) + 1
    end = begin + 1
    while not text.startswith(("  ", "\n"), end) or text.startswith("    ", end) or not text[end:].strip():
        end = text.index("\n", end) + 1
    entry = "".join(f"    {line}\n" for line in new_device.strip().splitlines())
    text = text[:begin] + f"  {old_device}:\n{entry}" + text[end:]
    text = text.replace("ports:\n", f"ports:\n{ports}", 1)
    for old, new in edits.items():
        text = text.replace(old, new)
    return parse_campaign(QUICKSTART, "c.yaml", text, "r.yaml").rig


async def built(rig: RigConfig) -> Rig:
    loop = asyncio.get_running_loop()
    return assemble_rig(rig, InMemory(), hardware=False, clock=blocking_clock(loop), start_s=loop.time())


async def silent(step: str, ok: bool, detail: str) -> None:
    assert ok, detail


def quick(rig: str, **edits: str) -> LoadedCampaign:
    """A quickstart that is content with little, on one of the shipped rigs."""
    campaign = QUICKSTART
    easy = {
        "tolerance: 5 meV": "tolerance: 40 meV",
        "reproduce: 2": "reproduce: 0",
        "strategy: ensemble": "strategy: sobol",
    }
    for old, new in {**easy, **edits}.items():
        assert old in campaign
        campaign = campaign.replace(old, new)
    return parse_campaign(campaign, "c.yaml", (CONFIGS / "rigs" / f"{rig}.yaml").read_text(), "r.yaml")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_campaign_reaches_an_easy_target_on_every_shipped_rig(name: str, tmp_path: Path) -> None:
    ended = rehearse(quick(name), tmp_path / "run.sqlite")
    assert (ended.state.stop_reason, ended.state.trips) == ("target_reproduced", ())
    assert ended.state.safe is True


@pytest.mark.long
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_quickstart_reaches_its_target_on_every_shipped_rig(name: str, tmp_path: Path) -> None:
    loaded = parse_campaign(QUICKSTART, "c.yaml", (CONFIGS / "rigs" / f"{name}.yaml").read_text(), "r.yaml")
    ended = rehearse(loaded, tmp_path / "run.sqlite")
    assert (ended.state.stop_reason, ended.state.trips) == ("target_reproduced", ())


RTU = "  more: {kind: modbus_rtu, url: /dev/ttyUSB9}\n"
SERIAL = "  more: {kind: serial, url: /dev/ttyUSB9}\n"
HEATERS = {
    "eurotherm with floats": (RTU, "driver: eurotherm\nport: more\nunit: 1\nregisters: float"),
    "nanodac": ("  more: {kind: modbus_tcp, host: 10.0.0.9}\n", "driver: nanodac\nport: more\nloop: 2\nchannel: 3"),
    "watlow": (RTU, "driver: watlow\nport: more\nunit: 3"),
    "watlow, high word first": (
        RTU,
        "driver: watlow\nport: more\nunit: 3\nword_order: high first\ntemperature_unit: C",
    ),
    "omega": (RTU, "driver: omega\nport: more\nunit: 3"),
    "novus": (RTU, "driver: novus\nport: more\nunit: 3"),
    "novus, whole degrees": (RTU, "driver: novus\nport: more\nunit: 3\ndecimals: 0"),
    "julabo": (SERIAL, "driver: julabo\nport: more"),
    "ika": (SERIAL, "driver: ika\nport: more\nsensor: plate"),
    "ika, second watchdog": (SERIAL, "driver: ika\nport: more\nwatchdog_mode: 2\nwatchdog: 60 s"),
}
PUMPS = {
    "harvard": "driver: harvard\naddress: 7\nsyringe: {volume: 100 ml, diameter: 38.4 mm}",
    "11 elite": "driver: harvard\nmodel: 11 Elite\naddress: 7\nsyringe: {volume: 60 ml, diameter: 26.7 mm}",
    "cavro": "driver: cavro\naddresses: [3]\nsyringe_volume: 1 ml\nreservoir: 500 ml",
    "cavro, dt framing": "driver: cavro\naddresses: [3]\nsyringe_volume: 1 ml\nreservoir: 500 ml\nframing: DT",
    "cavro pair": "driver: cavro\naddresses: [0, 1]\nsyringe_volume: 250 µl\nreservoir: 500 ml\nrefill_flow: 6 ml/min",
    "cavro, z": (
        "driver: cavro\naddresses: [3]\nsyringe_volume: 1 ml\nreservoir: 1 l\ninitialise: Z\ninlet: I\noutlet: O\n"
        "model: XCalibur"
    ),
}


@pytest.mark.parametrize("which", HEATERS)
def test_every_temperature_controller_heats_and_is_switched_off(which: str) -> None:
    port, entry = HEATERS[which]

    async def scenario() -> None:
        rig = await built(edited("oven", entry, port))
        block = rig.faults.world.block
        loop = asyncio.get_running_loop()
        await rig.heater.connect()
        assert await rig.heater.set_temperature(90.0) == pytest.approx(90.0, abs=0.06)
        await asyncio.sleep(20.0)
        await rig.heater.refresh()
        assert block.output_fraction(loop.time()) > 0.3
        warm = (await rig.heater.read()).temperature_c
        assert warm > 30.0
        assert block.process_value_c(loop.time()) == pytest.approx(warm, abs=0.6)
        await rig.heater.heater_off()
        await asyncio.sleep(0.5)  # the block's own control has a period of a quarter of a second
        assert block.output_fraction(loop.time()) == 0.0
        await rig.close()

    run_virtual(scenario())


@pytest.mark.parametrize("which", [*HEATERS, "eurotherm"])
def test_every_temperature_controllers_twin_takes_the_set_points_at_both_limits_of_the_rig(which: str) -> None:
    port, entry = HEATERS.get(which, ("", "driver: eurotherm\nport: oven\nunit: 1"))

    async def scenario() -> None:
        limits = {"temperature: [20 degC, 180 degC]": "temperature: [-15.3 degC, 400.6 degC]"}
        rig = await built(edited("oven", entry, port, **limits))
        await rig.heater.connect()
        for limit_c in rig.heater.range_c:
            assert await rig.heater.set_temperature(limit_c) == pytest.approx(limit_c, abs=0.41)
        await rig.heater.heater_off()
        await rig.close()

    run_virtual(scenario())


def test_a_hot_synthesis_is_rehearsed(tmp_path: Path) -> None:
    campaign = QUICKSTART.replace("[60 degC, 160 degC]", "[340 degC, 370 degC]")
    for old, new in {"ensemble": "sobol", "initial: 8": "initial: 1", "experiments: 25": "experiments: 1"}.items():
        campaign = campaign.replace(old, new)
    rig = BENCH.replace("[20 degC, 180 degC]", "[20 degC, 380 degC]").replace("\ntwin:\n", "\ntwin:\n  power: 250 W\n")
    ended = rehearse(parse_campaign(campaign, "c.yaml", rig, "r.yaml"), tmp_path / "run.sqlite")
    assert (ended.state.stop_reason, ended.state.trips) == ("budget_experiments", ())
    assert "measured" in ended.kinds


@pytest.mark.parametrize("which", PUMPS)
def test_every_pump_gives_what_it_is_told(which: str) -> None:
    entry = PUMPS[which] + "\nport: more\nstock: toluene"

    async def scenario() -> None:
        config = edited("solvent", entry, SERIAL, **{"total_flow: [20": "total_flow: [130"})
        rig = await built(config)
        loop, syringe = asyncio.get_running_loop(), rig.faults.world.syringe("solvent")
        await rig.pumps["solvent"].connect()
        assert await rig.pumps["solvent"].infuse(400.0, 2000.0) == pytest.approx(400.0, rel=0.005)
        begun_s, begun_ul = loop.time(), syringe.infused_ul(loop.time())
        await asyncio.sleep(60.0)
        given_ul = syringe.infused_ul(loop.time()) - begun_ul
        status = await rig.pumps["solvent"].status()
        await rig.pumps["solvent"].stop()
        assert given_ul == pytest.approx(
            400.0 * (loop.time() - begun_s) / 60.0, rel=0.2 if "pair" not in which else 0.02
        )
        assert status.infused_ul == pytest.approx(syringe.infused_ul(loop.time()), abs=15.0)
        assert syringe.content_ul(loop.time()) < config.pumps["solvent"].holds_ul
        assert syringe.commanded_ul_min == 0.0
        await rig.close()

    run_virtual(scenario())


@pytest.mark.parametrize("model", ["USB2000+", "Flame-S", "USB4000", "Flame-T", "STS", "QE Pro", "HDX"])
def test_every_ocean_model_sees_its_lamp(model: str) -> None:
    async def scenario() -> None:
        rig = await built(edited("spectrometer", f"driver: ocean_optics\nport: optics\nmodel: {model}"))
        assert rig.layout.full_scale == {"STS": 16_383.0, "QE Pro": 262_143.0}.get(model, 65_535.0)
        await rig.spectrometer.connect()
        wavelengths, _ = await rig.spectrometer.wavelengths_nm()
        await rig.spectrometer.set_integration(0.05)
        await rig.spectrometer.acquire()
        dark, _ = await rig.spectrometer.acquire()
        await rig.spectrometer.set_lamp(True)
        await rig.spectrometer.acquire()
        lit, _ = await rig.spectrometer.acquire()
        assert wavelengths[int((lit - dark).argmax())] == pytest.approx(405.0, abs=4.0)
        assert lit.max() < rig.layout.full_scale
        await rig.close()

    run_virtual(scenario())


@pytest.mark.parametrize("model", ["USB2000+", "Flame-S", "USB4000", "Flame-T", "STS", "QE Pro", "HDX"])
def test_every_ocean_model_makes_the_exposures_at_both_ends_of_what_its_file_promises(model: str) -> None:
    async def scenario() -> None:
        rig = await built(edited("spectrometer", f"driver: ocean_optics\nport: optics\nmodel: {model}"))
        await rig.spectrometer.connect()
        for end_s in rig.layout.exposure_s:
            assert await rig.spectrometer.set_integration(end_s) == pytest.approx(end_s, abs=1.1e-6)
        await rig.close()

    run_virtual(scenario())


def test_light_too_faint_for_every_exposure_is_read_at_the_detectors_longest(tmp_path: Path) -> None:
    faint = {"value: 2 mM": "value: 0.05 mM", "[5 ms, 2 s]": "[5 ms, 10 s]"}
    one = {"experiments: 25": "experiments: 1", "initial: 8": "initial: 1"}
    ended = rehearse(quick("ika-hdx", **faint, **one), tmp_path / "run.sqlite")
    assert ended.state.stop_reason == "budget_experiments"
    assert 9.999999 in [event.data.get("integration_s") for event in ended.events]


def test_a_shutter_that_a_high_line_closes_is_dark_when_it_should_be() -> None:
    async def scenario() -> None:
        lamp = "lamp_line: {mode: emission, on_level: low, settle: 2 s}"
        rig = await built(edited("spectrometer", f"driver: ocean_optics\nport: optics\n{lamp}"))
        await rig.spectrometer.connect()
        assert rig.faults.world.cell.lamp_is_on is False
        before_s = asyncio.get_running_loop().time()
        await rig.spectrometer.set_lamp(True)
        assert asyncio.get_running_loop().time() - before_s >= 2.0
        assert rig.faults.world.cell.lamp_is_on is True
        await rig.close()

    run_virtual(scenario())


def test_what_stands_around_the_reactor_is_read_and_put_safe() -> None:
    async def scenario() -> None:
        rig = await built(load_rig(CONFIGS / "rigs" / "harvard-watlow.yaml"))
        identities = await rig.connect()
        assert set(identities) == set(rig.config.devices)
        valve, gas = rig.around["selector"], rig.around["carrier"]
        assert isinstance(valve, RigValve)
        assert isinstance(gas, RigGas)
        assert isinstance(rig.phase, RigPhase)
        await valve.move(4)
        assert await gas.set_flow(20.0) == pytest.approx(20.0, abs=0.05)
        await asyncio.sleep(5.0)
        assert await gas.read() == pytest.approx(20.0, abs=0.1)
        assert await rig.phase.read() == "liquid"
        assert await make_safe(rig, silent) is True
        assert await valve.position() == 1
        await asyncio.sleep(5.0)
        assert await gas.read() == pytest.approx(0.0, abs=0.05)
        await rig.close()

    run_virtual(scenario())


def test_a_bubble_that_the_phase_sensor_sees_keeps_a_spectrum_from_being_scored(tmp_path: Path) -> None:
    rig = (CONFIGS / "rigs" / "harvard-watlow.yaml").read_text()
    rig += "  faults:\n    - {fault: bubble, device: spectrometer, at: 9 min, duration: 2 h}\n"
    campaign = QUICKSTART.replace("experiments: 25", "experiments: 1").replace("initial: 8", "initial: 1")
    ended = rehearse(parse_campaign(campaign, "c.yaml", rig, "r.yaml"), tmp_path / "run.sqlite")
    (analysed,) = [event for event in ended.events if event.kind == "analysed"]
    assert "bubble" in analysed.data["flags"]
    read = [call for event in ended.events for call in event.calls if call["d"] == "bubbles" and call["v"] == "read"]
    assert [call["r"] for call in read] == ["gas", "gas"]


def test_a_phase_sensor_that_stays_away_is_the_root_cause(tmp_path: Path) -> None:
    text = (CONFIGS / "rigs" / "harvard-watlow.yaml").read_text()
    oven = text[text.index("  oven:") : text.index("\n", text.index("  oven:")) + 1]
    text = text.replace(oven, oven + oven.replace("oven:", "wet:").replace("USB1", "USB7"), 1)
    text = text.replace("phase_0_5v\n    port: oven", "phase_0_5v\n    port: wet")
    text += "  faults:\n    - {fault: port_loss, port: wet, at: 5 min, duration: 2 h}\n"
    campaign = QUICKSTART.replace("experiments: 25", "experiments: 1").replace("initial: 8", "initial: 1")
    ended = rehearse(parse_campaign(campaign, "c.yaml", text, "r.yaml"), tmp_path / "run.sqlite")
    assert [(trip["interlock"], trip["device"]) for trip in ended.state.trips] == [("lost device", "bubbles")]
    assert ended.state.stop_reason == "fault"
    assert ended.state.safe is True


def test_a_heater_that_the_plumbing_does_not_name_goes_off_too() -> None:
    async def scenario() -> None:
        config = parse_campaign(
            QUICKSTART,
            "c.yaml",
            BENCH.replace("\nplumbing:", "\n  bath:\n    driver: omega\n    port: oven\n    unit: 9\n\nplumbing:", 1),
            "r.yaml",
        ).rig
        rig = await built(config)
        await rig.connect()
        bath = rig.around["bath"]
        await bath.set_temperature(60.0)  # type: ignore[union-attr]
        await asyncio.sleep(10.0)
        assert (await bath.read()).output_fraction > 0.0  # type: ignore[union-attr]
        assert await make_safe(rig, silent, hurry=True) is True
        await asyncio.sleep(1.0)
        assert (await bath.read()).output_fraction == 0.0  # type: ignore[union-attr]
        await rig.close()

    run_virtual(scenario())


def test_every_shipped_model_is_a_kind_and_every_kind_has_a_twin() -> None:
    from orchestrator.twins.built_in import twin_of

    kinds = device_kinds()
    assert {kind.config for kind in kinds.values()} >= set(BUILT_IN)
    for word, kind in kinds.items():
        if kind.config in BUILT_IN:
            assert callable(twin_of(word))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("driver: eurotherm", "driver: eurothrem", "no such driver (got eurothrem; allowed: alicat, bronkhorst"),
        ("driver: eurotherm", "driver: eurothrem", "did you mean eurotherm?"),
        ("    unit: 2\n", "    unit: 1\n", "'oven' has the same unit on port 'oven'"),
        ("    model: USB2000+", "    model: QE-Pro", "did you mean QE Pro?"),
        ("driver: new_era\n    port: pumps\n    address: 3", "driver: julabo\n    port: pumps", "share"),
        ("diameter: 38.4 mm", "diameter: 2 mm", "a syringe so narrow would be 32 m long"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in BENCH
    (tmp_path / "rig.yaml").write_text(BENCH.replace(old, new))
    campaign = QUICKSTART.replace("../rigs/perovskite-bench.yaml", "rig.yaml")
    (tmp_path / "campaign.yaml").write_text(campaign)
    from orchestrator.errors import PreflightError
    from orchestrator.preflight.findings import preflight

    with pytest.raises((ConfigError, PreflightError)) as caught:
        preflight(load_campaign(tmp_path / "campaign.yaml")).require()
    assert words in str(caught.value)


def test_a_gas_without_a_step_that_closes_it_is_refused(tmp_path: Path) -> None:
    text = (CONFIGS / "rigs" / "harvard-watlow.yaml").read_text().replace("  - step: gas_off\n", "")
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(ConfigError, match="add gas_off"):
        load_rig(tmp_path / "rig.yaml")


def test_a_campaign_that_weighs_the_yield_is_refused_on_a_detector_of_absorption() -> None:
    rig = BENCH.replace("    model: USB2000+", "    model: USB2000+\n    lamp_line: {mode: absorption}")
    with pytest.raises(ConfigError, match="sees no yield"):
        parse_campaign(QUICKSTART, "c.yaml", rig, "r.yaml")


def test_what_a_driver_refuses_is_refused_with_the_file() -> None:
    rig = (CONFIGS / "rigs" / "ika-hdx.yaml").read_text().replace("32.57 mm", "38.4 mm")
    with pytest.raises(ConfigError, match=r"devices.solvent: the driver refuses this.*0.1 to 33"):
        parse_campaign(QUICKSTART, "c.yaml", rig, "r.yaml")
