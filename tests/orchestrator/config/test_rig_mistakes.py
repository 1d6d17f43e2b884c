"""What a person gets wrong in a rig file, and the one line that says so."""

from __future__ import annotations

import re

import pytest

from orchestrator.config import parse_rig
from orchestrator.errors import ConfigError
from tests.orchestrator.rehearsal import CONFIGS

SPARE_GAS = "  gas: {driver: alicat, port: spare, full_scale: 100, id: a}\n  mixer_pressure:\n"
GAS_OFF = ("s_stop\n", "s_stop\n  - step: gas_off\n")
SPARE_PORT = "  spare: {kind: serial, url: /dev/ttyUSB9}\n  optics:\n"


def told(rig: str, *edits: tuple[str, str]) -> list[str]:
    """What is said of a shipped rig file with some of its text replaced: a line each, with its place in the file."""
    text = (CONFIGS / "rigs" / f"{rig}.yaml").read_text()
    for old, new in edits:
        assert old in text, f"the file does not say {old!r}"
        text = text.replace(old, new, 1)
    with pytest.raises(ConfigError) as caught:
        parse_rig(text, "rig.yaml")
    return [line for line in str(caught.value).splitlines() if re.match(r"rig\.yaml:\d+:\d+: ", line)]


@pytest.mark.parametrize(
    ("rig", "edits", "said"),
    [
        (
            "cavro-julabo",
            [("refill_flow: 6 ml/min", "refill_flow: 1 µl/min")],
            r"devices\.solvent: the driver refuses this: refill flow in µL/min .got 1; allowed: 31\.25 to 15000",
        ),
        ("perovskite-bench", [("eurotherm", "eurothem")], r"devices\.oven\.driver: no such driver .*mean eurotherm\?"),
        ("perovskite-bench", [("kind: modbus_rtu", "kind: modbus")], r"ports\.oven\.kind: no such kind"),
        (
            "perovskite-bench",
            [("url: /dev/ttyUSB1", "url: /dev/ttyUSB0")],
            r"ports\.oven\.url: port 'pumps' is this line already",
        ),
        (
            "perovskite-bench",
            [("diameter: 38.4 mm", "diameter: 3.84 mm")],
            r"solvent\.syringe\.diameter: a syringe so narrow would be 8\.6 m long to hold 100000 µl .*from 22\.6 mm",
        ),
        (
            "perovskite-bench",
            [("volume: 20 ml, diameter: 19.13 mm", "volume: 20 ml, diameter: 13.9 mm")],
            r"halide: the driver refuses this: volume in µL .* bore of 13\.9 mm .got 20000; allowed: 0 to 9999",
        ),
        (
            "perovskite-bench",
            [("range: [0 kPa, 1000 kPa]", "range: [0 kPa, 200 kPa]")],
            r"limits\.pressure: the pressure transmitter ends at 200 kPa and cannot see this limit",
        ),
        (
            "perovskite-bench",
            [("decimals: 1", "decimals: 2"), ("180 degC]", "320 degC]")],
            r"limits\.temperature: 'oven' tells temperatures from -327\.68 degC to 327\.67 degC",
        ),
        (
            "perovskite-bench",
            [
                ("  optics:\n", SPARE_PORT),
                ("  mixer_pressure:\n", SPARE_GAS),
                GAS_OFF,
            ],
            r"devices\.gas\.id: not of the form that is wanted here .*a capital letter, A to Z; did you mean A\?",
        ),
        (
            "perovskite-bench",
            [("address: 1\n", 'address: "1"\n')],
            r"devices\.pb\.address: a whole number is wanted here, without quotes",
        ),
        (
            "perovskite-bench",
            [("baud_rate: 19200\n", 'baud_rate: 19200\n    stop_bits: "2"\n')],
            r"ports\.pumps\.stop_bits: a number is wanted here, without quotes .*allowed: 1, 2; did you mean 2\?",
        ),
        (
            "perovskite-bench",
            [("port: optics", "port: pumps")],
            r"devices\.spectrometer\.port: an ocean_optics device cannot hang on a serial port",
        ),
        ("perovskite-bench", [("heater: oven", "heater: {}")], r"plumbing\.reactor\.heater: text is wanted here"),
        (
            "perovskite-bench",
            [("detector: spectrometer", "detector: [spectrometer]")],
            r"plumbing\.detector: text is wanted here",
        ),
        (
            "perovskite-bench",
            [("    pump: solvent\n", "    pump: {a: 1}\n")],
            r"safe_sequence\[1\]\.pump: text is wanted here",
        ),
    ],
)
def test_one_mistake_is_told_in_one_line_with_its_place_and_what_is_allowed(
    rig: str, edits: list[tuple[str, str]], said: str
) -> None:
    lines = told(rig, *edits)
    assert len(lines) == 1, lines
    assert re.search(said, lines[0]), lines[0]


@pytest.mark.parametrize("rig", sorted(path.stem for path in (CONFIGS / "rigs").glob("*.yaml")))
def test_the_shipped_rigs_have_none(rig: str) -> None:
    parse_rig((CONFIGS / "rigs" / f"{rig}.yaml").read_text(), "rig.yaml")
