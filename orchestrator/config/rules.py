"""What must hold between the values of a file, once each of them is fine by itself."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

from orchestrator import units
from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.device_roles import DetectorConfig, GasConfig, SyringePumpConfig, ValveConfig
from orchestrator.config.inputs import MOST_VALUES, InputBase
from orchestrator.config.objective_rules import check_objective
from orchestrator.config.planner_rules import check_planner
from orchestrator.config.rig import (
    EthernetPort,
    Flush,
    FolderPort,
    ModbusRtuPort,
    ModbusTcpPort,
    Port,
    RigConfig,
    SerialPort,
)
from orchestrator.config.spectrometers import OceanOpticsConfig
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document

LONGEST_STROKE_MM: Final = 250.0
"""Longer than the plunger of any syringe that fits a pump."""


def check_rig(document: Document, rig: RigConfig) -> list[Problem]:
    """The order of the safe sequence, its flows against the pumps, the lamp's window against the emission's; whether
    the limits are ones that the devices can see; and what the drivers themselves refuse."""
    narrow = _too_narrow(document, rig)
    problems, refused = _check_drivers(document, rig, narrow)
    steps = [step.step for step in rig.safe_sequence]
    if not steps or steps[0] != "heaters_off":
        path = ("safe_sequence", 0, "step") if steps else ("safe_sequence",)
        problems.append(document.problem(path, "the safe sequence must begin with heaters_off"))
    if "pumps_stop" not in steps:
        problems.append(document.problem(("safe_sequence",), "the safe sequence must stop the pumps: add pumps_stop"))
    for index, step in enumerate(rig.safe_sequence):
        if not isinstance(step, Flush):
            continue
        path = ("safe_sequence", index, "flow")
        if "pumps_stop" in steps[:index]:
            problems.append(
                document.problem(("safe_sequence", index, "step"), "a flush after pumps_stop leaves a pump on")
            )
        if step.pump in refused:
            continue  # whoever cannot be built has no range of flows
        low, high = rig.pump_range_ul_min(step.pump)
        high = min(high, rig.limits.total_flow_ul_min.high)
        if not low <= step.flow_ul_min <= high:
            allowed = f"from {low:.4g} µl/min to {high:.4g} µl/min"
            problems.append(document.problem(path, "outside what this pump and the limits allow", allowed=allowed))
        if step.until_c < rig.twin.ambient_c:
            message = f"colder than the surroundings ({rig.twin.ambient_c:g} degC), where it would never get"
            problems.append(document.problem(("safe_sequence", index, "until"), message))
    for name, device in rig.devices.items():
        if isinstance(device, DetectorConfig):
            apart = device.lamp_nm.high <= device.emission_nm.low
            if not device.sees_emission and not (apart or device.emission_nm.high <= device.lamp_nm.low):
                message = "in absorption the lamp's band is one where the sample is clear, outside this window"
                problems.append(document.problem(("devices", name, "emission"), message))
            elif device.sees_emission and not apart:
                message = "the emission window must begin above the lamp's"
                problems.append(document.problem(("devices", name, "emission"), message))
        if (
            isinstance(device, OceanOpticsConfig)
            and rig.ports[device.port].kind == "ethernet"
            and device.model != "HDX"
        ):
            message = "only an HDX speaks over the network"
            problems.append(document.problem(("devices", name, "model"), message, at_key=True, allowed="HDX"))
        if isinstance(device, ValveConfig) and device.home > device.positions:
            message = f"a valve of {device.positions} positions has no position {device.home}"
            problems.append(document.problem(("devices", name, "home"), message, at_key=True))
        if isinstance(device, GasConfig) and "gas_off" not in steps:
            message = f"the safe sequence must close the gas of {name!r}: add gas_off"
            problems.append(document.problem(("safe_sequence",), message))
    if rig.pace != 1.0:
        problems += [
            document.problem(("pace",), f"port {name!r} is none of this computer's own: hardware keeps its own time")
            for name, port in rig.ports.items()
            if not _served_here(port)
        ]
    return problems + list(narrow.values()) + _check_lines(document, rig) + _check_limits(document, rig)


def _check_limits(document: Document, rig: RigConfig) -> list[Problem]:
    """Limits that nobody would see being passed."""
    from orchestrator.safety.heater_reach import untold

    problems = list(untold(document, rig))
    sensor = rig.pressure
    if sensor is not None and sensor.range_kpa.high < rig.limits.pressure_kpa:
        message = f"the pressure transmitter ends at {sensor.range_kpa.high:g} kPa and cannot see this limit"
        problems.append(document.problem(("limits", "pressure"), message))
    return problems


def _too_narrow(document: Document, rig: RigConfig) -> dict[str, Problem]:
    """By pump, a bore far too narrow for what the syringe holds: the flow would be as many times too high."""
    problems: dict[str, Problem] = {}
    for name, device in rig.devices.items():
        if not isinstance(device, SyringePumpConfig):
            continue
        stroke_mm = device.syringe.volume_ul / device.syringe.area_mm2
        if stroke_mm > LONGEST_STROKE_MM:
            held = units.format_quantity(device.syringe.volume_ul, units.VOLUME)
            message = f"a syringe so narrow would be {stroke_mm / 1000.0:.2g} m long to hold {held}"
            narrowest_mm = math.sqrt(4.0 * device.syringe.volume_ul / (math.pi * LONGEST_STROKE_MM))
            path = ("devices", name, "syringe", "diameter")
            problems[name] = document.problem(path, message, allowed=f"from {narrowest_mm:.3g} mm")
    return problems


def _check_lines(document: Document, rig: RigConfig) -> list[Problem]:
    """Two ports that are one line: the second could not be opened beside the first."""
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for name, port in rig.ports.items():
        if isinstance(port, SerialPort | ModbusRtuPort) and (other := seen.setdefault(port.url, name)) != name:
            message = f"port {other!r} is this line already: devices on one line name one port"
            problems.append(document.problem(("ports", name, "url"), message))
    return problems


def _served_here(port: Port) -> bool:
    """Whether only a program on this computer can be at the other end."""
    if isinstance(port, SerialPort | ModbusRtuPort):
        return port.url.startswith(("socket://127.0.0.1:", "socket://localhost:", "/dev/pts/"))
    if isinstance(port, ModbusTcpPort | EthernetPort):
        return port.host in ("127.0.0.1", "localhost")
    return isinstance(port, FolderPort)


def _check_drivers(document: Document, rig: RigConfig, wrong: Collection[str]) -> tuple[list[Problem], set[str]]:
    """What the drivers themselves refuse when they are built, before any port is opened; and which devices.

    ``wrong``: devices of which something is known to be wrong already; they are not asked, and are among the second.
    """
    from drivers import DriverError, OutOfRangeError
    from orchestrator.kinds import kind_of
    from orchestrator.rig.assembling import SharedPorts, Steel

    ports = SharedPorts(rig, Steel(rig))
    problems: list[Problem] = []
    refused = set(wrong)
    for name, config in rig.devices.items():
        if name in wrong:
            continue
        try:
            kind_of(config).driver(ports, name, config)
        except OutOfRangeError as error:
            allowed = f"{error.low:g} to {error.high:g}"
            message = f"the driver refuses this: {error.message}"
            got = error.asked or None
            problems.append(document.problem(("devices", name), message, at_key=True, offending=got, allowed=allowed))
            refused.add(name)
        except (DriverError, TypeError, ValueError) as error:
            message = f"the driver refuses this: {error}"
            problems.append(document.problem(("devices", name), message, at_key=True))
            refused.add(name)
    return problems, refused


def check_campaign(document: Document, campaign: CampaignConfig, rig: RigConfig) -> list[Problem]:
    """Scales, fractions, ranges and budgets that contradict each other; conditions that do not determine the flows."""
    from orchestrator.recipes.constraints import check_constraints
    from orchestrator.recipes.plumbing import concentrations_mm, system_faults

    problems: list[Problem] = []
    for name, entry in campaign.inputs.items():
        if entry.scale == "log" and entry.low <= 0.0:
            message = "a logarithmic scale needs a range above zero"
            key = "range" if entry.given.values == () else "values"
            problems.append(document.problem(("inputs", name, key), message))
        problems += _check_choices(document, name, entry)
        if name in campaign.fixed:
            problems.append(
                document.problem(("fixed", name), f"{name!r} is an input already", at_key=True, offending=name)
            )
    for section, entries in (("inputs", campaign.inputs), ("fixed", campaign.fixed)):
        for name, each in entries.items():
            if each.kind == "molar_fraction":
                if each.of not in each.among:
                    message = "the species itself must be among those that the fraction is taken of"
                    problems.append(
                        document.problem((section, name, "among"), message, allowed=f"a list with {each.of}")
                    )
                if len(set(each.among)) != len(each.among):
                    problems.append(document.problem((section, name, "among"), "a species is listed twice"))
            if each.kind == "pump_choice":
                problems += _check_pump_choice(document, campaign, name, each.among)
            if each.kind == "molar_ratio" and each.of == each.to:
                problems.append(document.problem((section, name, "to"), "the ratio of a species to itself is always 1"))
    problems += check_objective(document, campaign, rig)
    problems += _check_exposure(document, campaign, rig)
    problems += check_planner(document, campaign)
    problems += check_constraints(document, campaign, concentrations_mm(campaign, rig))
    if problems:
        return problems
    return [
        document.problem(path, message, at_key=True, offending="") for path, message in system_faults(campaign, rig)
    ]


def _check_pump_choice(
    document: Document, campaign: CampaignConfig, name: str, among: tuple[str, ...]
) -> list[Problem]:
    """A pump that is listed twice, or stands in an earlier choice already."""
    others = list(campaign.inputs.items())[: list(campaign.inputs).index(name)]
    problems = []
    for index, pump in enumerate(among):
        path = ("inputs", name, "among", index)
        taken = [other for other, entry in others if entry.kind == "pump_choice" and pump in entry.among]
        if pump in among[:index]:
            problems.append(document.problem(path, "a pump is listed twice"))
        elif taken:
            problems.append(document.problem(path, f"this pump stands in the choice {taken[0]!r} already"))
    return problems


def _check_choices(document: Document, name: str, entry: InputBase) -> list[Problem]:
    """Values that are repeated; a step that never fits, or fits too often."""
    said, path = entry.given, ("inputs", name)
    if len(set(said.values)) < len(said.values):
        return [document.problem((*path, "values"), "a value is listed twice")]
    if said.range is None or said.step is None:
        return []
    if said.step <= 0.0:
        return [document.problem((*path, "step"), "out of range", allowed="above zero")]
    steps = (said.range.high - said.range.low) / said.step
    if steps * (1.0 + 1e-9) < 1.0:
        return [document.problem((*path, "step"), "longer than the whole range")]
    if steps > MOST_VALUES:
        message = f"this step makes more than {MOST_VALUES} values: leave it out"
        return [document.problem((*path, "step"), message)]
    return []


def _check_exposure(document: Document, campaign: CampaignConfig, rig: RigConfig) -> list[Problem]:
    wanted, (shortest, longest) = campaign.measure.integration_s, rig.detector.exposure_range_s
    fixed = shortest == longest
    if fixed or (wanted.low < longest and wanted.high > shortest):
        return []
    message = "exposures that the detector cannot make"
    allowed = f"within {shortest:g} s to {longest:g} s"
    return [document.problem(("measure", "integration"), message, allowed=allowed)]
