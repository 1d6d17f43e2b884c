"""What goes wrong in a seed of the fault simulation: faults of the rig file's kinds, an operator's commands, a disk."""

from __future__ import annotations

import random
from dataclasses import dataclass

from orchestrator.campaign.steering import Verb
from orchestrator.config import LoadedCampaign
from tests.orchestrator.rehearsal import small

PUMPS = ("cs", "pb", "halide", "solvent")
EXPERIMENT_S = 1200.0  # about

PORT_FAULTS = ("garbage", "dropped", "late", "silence", "port_loss")
DEVICE_FAULTS = {
    "pump_stall": PUMPS,
    "syringe_empty": PUMPS,
    "power_blip": PUMPS,
    "leak": ("reactor", *PUMPS),
    "clog": ("reactor",),
    "bubble": ("spectrometer",),
    "sensor_break": ("oven",),
    "sensor_detached": ("oven",),
    "relay_welded": ("oven",),
    "saturation": ("spectrometer",),
    "lamp_drift": ("spectrometer",),
    "fouling": ("spectrometer",),
    "broken_wire": ("mixer_pressure",),
    "usb_unplug": ("spectrometer",),
    "usb_hang": ("spectrometer",),
}
SIZES = {
    "garbage": ("share", 0.1, 30.0, "%"),
    "dropped": ("share", 1.0, 50.0, "%"),
    "late": ("delay", 0.1, 3.0, "s"),
    "leak": ("share", 10.0, 90.0, "%"),
    "clog": ("doubling", 1.0, 60.0, "s"),
}


@dataclass(frozen=True)
class Asked:
    """A command of the operator, and what is asked once the campaign waits because of it."""

    at_s: float
    verb: Verb
    keep_temperature: bool
    then: Verb


@dataclass(frozen=True)
class Plan:
    """What goes wrong in one seed. ``disk``: the operation that fails, whether for good, or None."""

    seed: int
    experiments: int
    faults: tuple[str, ...]
    interrupts_s: tuple[float, ...]
    commands: tuple[Asked, ...]
    disk: tuple[int, bool] | None


def plan_of(seed: int) -> Plan:
    """The misfortunes of a seed."""
    draws = random.Random(f"fault simulation {seed}")
    experiments = draws.choice((1, 2, 2, 3))
    horizon_s = 300.0 + EXPERIMENT_S * experiments
    faults = tuple(_fault(draws, horizon_s) for _ in range(draws.choice((0, 1, 1, 2, 2, 3, 4))))
    interrupts = sorted(draws.uniform(0.0, horizon_s) for _ in range(draws.choice((0, 0, 0, 1, 1, 2))))
    if len(interrupts) == 2 and draws.random() < 0.5:
        interrupts[1] = interrupts[0] + draws.uniform(0.0, 30.0)
    commands = tuple(_command(draws, horizon_s) for _ in range(draws.choice((0, 0, 1, 1, 2, 3))))
    fails = (draws.randrange(420), draws.random() < 0.5) if draws.random() < 0.25 else None
    return Plan(seed, experiments, faults, tuple(interrupts), commands, fails)


def _command(draws: random.Random, horizon_s: float) -> Asked:
    verb: Verb = draws.choice(("pause", "pause", "hold", "hold", "stop", "abort"))
    then: Verb = draws.choice(("continue", "continue", "continue", "stop", "abort"))
    return Asked(draws.uniform(0.0, horizon_s), verb, draws.random() < 0.5, then)


def _fault(draws: random.Random, horizon_s: float) -> str:
    """One entry for the rig file's ``faults:``."""
    if draws.random() < 0.45:
        kind, place = draws.choice(PORT_FAULTS), f"port: {draws.choice(('pumps', 'oven'))}"
    else:
        kind = draws.choice(sorted(DEVICE_FAULTS))
        place = f"device: {draws.choice(DEVICE_FAULTS[kind])}"
    if kind == "clog" or (kind == "leak" and place == "device: reactor"):
        place = ""
    words = [f"fault: {kind}", *([place] if place else []), f"at: {draws.uniform(0.0, horizon_s):.1f} s"]
    if kind not in ("power_blip", "syringe_empty") and draws.random() < 0.8:
        words.append(f"duration: {draws.choice((2.0, 8.0, 20.0, 45.0, 200.0, 1500.0)) * draws.uniform(0.5, 1.5):.1f} s")
        if draws.random() < 0.25:
            words.append(f"every: {draws.uniform(200.0, 2500.0):.0f} s")
    if kind in SIZES:
        name, low, high, unit = SIZES[kind]
        words.append(f"{name}: {draws.uniform(low, high):.2f} {unit}")
    return "{" + ", ".join(words) + "}"


def campaign_of(plan: Plan) -> LoadedCampaign:
    """The quickstart campaign with these faults in its rig file."""
    lines = "".join(f"    - {fault}\n" for fault in plan.faults)
    section = f"  faults:\n{lines}" if lines else ""
    return small(
        plan.experiments,
        **{
            "  ambient: 25 degC\n": f"  ambient: 25 degC\n  fault_seed: {plan.seed}\n{section}",
            "seed: 1 #": f"seed: {plan.seed} #",
        },
    )
