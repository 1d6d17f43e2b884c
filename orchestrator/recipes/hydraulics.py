"""What flows of a liquid through the rig's tubes cost in pressure, and how long solvent takes to sweep them."""

from __future__ import annotations

import math

from orchestrator.config.rig import RigConfig, Tube


def pressure_drop_kpa(rig: RigConfig, flow_ul_min: float) -> float:
    """Gauge pressure at the mixer in kPa: Hagen-Poiseuille, 128 mu L Q / (pi d^4), over reactor and transit tube, plus
    the back pressure. The fluid is taken as cold, which errs on the safe side."""
    drop = sum(_resistance(tube) for tube in (rig.plumbing.reactor, rig.plumbing.transit))
    return rig.twin.back_pressure_kpa + drop * rig.twin.viscosity_mpa_s * flow_ul_min


def sweep_s(rig: RigConfig, flow_ul_min: float) -> float:
    """Time in s after which solvent at this flow has replaced what was in reactor, transit tube and cell.

    Each tube is waited for until some 2 % of its content are left: by its residence times, of which a segmented flow's
    have the relative width 1/sqrt(tanks) and a laminar one's leave 1/(4 theta^2) after theta mean times (O. Levenspiel,
    Chemical Reaction Engineering, 3rd ed., ch. 14 and 15).
    """
    tubes = (rig.plumbing.reactor, rig.plumbing.transit)
    return sum(_sweeps(tube) * tube.volume_ul for tube in tubes) / flow_ul_min * 60.0


def _sweeps(tube: Tube) -> float:
    if tube.flow == "plug":
        return 1.1
    return 0.5 / math.sqrt(0.02) if tube.flow == "laminar" else 1.0 + 2.5 / math.sqrt(tube.tanks)


def highest_flow_ul_min(rig: RigConfig) -> float:
    """The total flow at which the estimated pressure reaches the rig's limit, in µL/min."""
    per_flow = pressure_drop_kpa(rig, 1.0) - rig.twin.back_pressure_kpa
    return (rig.limits.pressure_kpa - rig.twin.back_pressure_kpa) / per_flow


def _resistance(tube: Tube) -> float:
    """kPa per (mPa s x µL/min)."""
    return 128.0 * tube.length_mm / (math.pi * tube.bore_mm**4) * 1e-6 / 60.0
