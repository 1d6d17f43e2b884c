"""What must hold whatever goes wrong in the fault simulation: limits, a safe end, a ledger that counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.rig.rig import Rig
from tests.benchmarks.dst_plans import PORT_FAULTS

GRACE_S = 180.0
"""A pump that nobody could reach has stopped by then: its watchdog's 30 s, or its bounded volume."""
HEAT_MARGIN_K = 2.0
"""The twin's block may swing so far above the limit of its set-point before its controller has it back."""


@dataclass
class Report:
    """What one seed came to. ``digest``: of the journal; equal for equal runs. ``wrong``: broken invariants."""

    seed: int
    stop: str
    safe: bool | None
    told: int
    trips: tuple[str, ...]
    digest: str
    off_ul: float = 0.0
    wrong: list[str] = field(default_factory=list)


def check_limits(rig: Rig, report: Report) -> None:
    """What the twins were told from first to last, as their plungers and their heater remember it."""
    limits, world = rig.config.limits, rig.faults.world
    orders: list[tuple[float, str, float]] = []
    for name, pump in rig.pumps.items():
        syringe = world.syringe(name)
        highest = max(syringe._flows)
        if highest > pump.flow_range_ul_min[1] * (1.0 + 1e-6) or min(syringe._flows) < 0.0:
            report.wrong.append(f"{name} was told {highest:g} µL/min")
        orders += [(t_s, name, flow) for t_s, flow in zip(syringe._times, syringe._flows, strict=True)]
    flows = dict.fromkeys(rig.pumps, 0.0)
    for _, name, flow in sorted(orders, key=lambda order: order[0]):
        flows[name] = flow
        if sum(flows.values()) > limits.total_flow_ul_min[1] * (1.0 + 1e-6):
            report.wrong.append(f"all pumps together were told {sum(flows.values()):g} µL/min")
            break
    set_points = [set_point for set_point, automatic in world.block._commands if automatic]
    if set_points and max(set_points) > limits.temperature_c[1] + 1e-6:
        report.wrong.append(f"the heater was told {max(set_points):g} °C")
    faulty = {str(fault.kind) for fault in rig.faults.injected} & {"relay_welded", "sensor_detached", "sensor_break"}
    hottest = max(world.block._block)
    if not faulty and hottest > limits.temperature_c[1] + HEAT_MARGIN_K:
        report.wrong.append(f"the block reached {hottest:.1f} °C")


def check_safety(
    rig: Rig,
    report: Report,
    faults: Any,
    ended_s: float,
    now_s: float,
    steps: tuple[Any, ...],
    unjournalled: bool,
) -> None:
    """Heater off and pumps still; else the journal names the step, and a fault kept the device from being told."""
    world = rig.faults.world
    failed = {str(step["step"]) for step in steps if not step["ok"]}
    broken = {str(fault.kind) for fault in faults.injected}
    unreachable = broken & set(PORT_FAULTS)
    running = [name for name in rig.pumps if world.syringe(name).commanded_ul_min != 0.0]
    if running:
        report.wrong.append(f"{running} still run {GRACE_S:g} s after the end")
    heating = world.block.output_fraction(now_s) > 0.0
    if heating and not (unreachable and ("heaters_off" in failed or unjournalled)):
        report.wrong.append("the heater is on, and the journal does not say why")
    if failed and not broken:
        report.wrong.append(f"{sorted(failed)} failed without a fault")
    if not unjournalled and report.safe is not (not failed):
        report.wrong.append(f"the journal says safe: {report.safe}; failed steps: {sorted(failed)}")


def check_ledger(rig: Rig, report: Report, counted_ul: Any, ended_s: float, uncounted: Any) -> None:
    """Counted volumes against the plungers' travel; of a pump that was lost the ledger may only say too much.

    After a power blip it counts all that the pump can have infused since it was last asked, and says how much that is.
    """
    world = rig.faults.world
    for name, pump in rig.pumps.items():
        syringe = world.syringe(name)
        moved = syringe.infused_ul(ended_s)
        counted = counted_ul.get(name, 0.0)
        orders = sum(1 for flow in syringe._flows if flow > 0.0)
        off = counted - moved
        if name in uncounted and off > 0.0:
            continue
        report.off_ul = max(report.off_ul, abs(off), key=abs)
        slack_ul = 2.0 + 0.5 * orders + 0.005 * moved
        doubtful_ul = 0.0 if pump.newest is None else pump.newest.lost_ul
        if not -slack_ul <= off <= slack_ul + doubtful_ul:
            report.wrong.append(f"{name}: the ledger says {counted:.1f} µL, the plunger moved {moved:.1f} µL")
