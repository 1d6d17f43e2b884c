"""Whether the heaters of a rig can tell what they may be set to, and the twin's can reach what a campaign wants."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config.device_roles import HeaterConfig
from orchestrator.config.rig import RigConfig
from orchestrator.errors import Problem
from orchestrator.safety.symptoms import LOOP_BREAK_RISE_K, LOOP_BREAK_S
from orchestrator.yaml_source import Document


def untold(document: Document, rig: RigConfig) -> Iterator[Problem]:
    """Heaters that cannot be told every set-point within the limits, or cannot tell what trips the interlock."""
    (low_c, high_c), overshoot_k = rig.limits.temperature_c, rig.limits.heater_overshoot_k
    for name, heater in rig.devices.items():
        if not isinstance(heater, HeaterConfig):
            continue
        coldest_c, hottest_c = heater.tells_c
        if coldest_c <= low_c and high_c + overshoot_k < hottest_c:
            continue
        reach = f"from {coldest_c:g} degC to {hottest_c:g} degC ({heater.tells_no_more_because})"
        message = f"{name!r} tells temperatures {reach}, and is watched to {overshoot_k:g} K above the limit"
        allowed = f"from {coldest_c:g} degC to below {hottest_c - overshoot_k:g} degC"
        yield document.problem(("limits", "temperature"), message, allowed=allowed)


def too_hot_for_twins(document: Document, rig: RigConfig, hottest_c: float) -> Iterator[Problem]:
    """A temperature that the twin's heater does not reach: at full output without a rise, it is taken for broken."""
    twin = rig.twin
    left_w = twin.power_w - twin.heat_capacity_j_k * LOOP_BREAK_RISE_K / LOOP_BREAK_S
    ends_c = twin.ambient_c + left_w / twin.loss_w_k
    if hottest_c > ends_c:
        message = f"on twins {twin.power_w:g} W heat to {ends_c:.0f} degC: hotter needs a higher power under twin"
        yield document.problem(("twin", "power"), message, at_key=True, offending="")
