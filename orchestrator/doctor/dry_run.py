"""The safe sequence gone through without a device: the program's own steps and limits, and nothing sent anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.config import RigConfig
from orchestrator.doctor.verdict import Check
from orchestrator.rig.build import steel_rig
from orchestrator.rig.rig import make_safe
from orchestrator.rig.tracing import Action

COOLING_K_S = 0.5
"""The reactor that is imagined: it loses so much from the rig's upper limit down to the ambient temperature."""


class ObedientDevices:
    """A tracer that runs nothing: every order is obeyed, every reading plausible."""

    def __init__(self, rig: RigConfig) -> None:
        self._rig = rig
        self.orders: list[str] = []

    async def call(self, device: str, verb: str, args: Mapping[str, Any], action: Action) -> Any:
        """What the device would answer."""
        self.orders.append(f"{device} {verb}")
        if verb == "infuse":
            return args["flow_ul_min"]
        if verb == "read":
            hot_c = self._rig.limits.temperature_c[1] - COOLING_K_S * asyncio.get_running_loop().time()
            return [max(hot_c, self._rig.twin.ambient_c), self._rig.limits.temperature_c[0], 0.0, []]
        if verb == "status":
            return ["stopped", 0.0, 0.0, None, 0, 0.0]
        return None

    def store(self, data: bytes) -> str:
        """Nothing is kept."""
        return ""

    def load(self, address: str) -> bytes:
        """Nothing is kept."""
        return b""


def check_safe_sequence(name: str, rig: RigConfig) -> Check:
    """Whether the sequence can be gone through, how long it takes at most, and that it ends with everything off."""
    steps: list[str] = []
    failed: list[str] = []

    async def report(step: str, ok: bool, detail: str) -> None:
        (steps if ok else failed).append(f"{step} ({detail})" if detail else step)

    async def main() -> tuple[bool, list[str], float]:
        devices = ObedientDevices(rig)
        well = await make_safe(steel_rig(rig, devices), report)
        return well, devices.orders, asyncio.get_running_loop().time()

    title = f"{name}: safe sequence, dry"
    well, orders, took_s = run_virtual(main())
    if not well:
        return Check(title, "problem", "; ".join(failed), "correct safe_sequence: in the rig file")
    last = {order.split()[0]: order.split()[1] for order in orders if order.split()[1] in ("infuse", "stop")}
    running = sorted(pump for pump in rig.pumps if last.get(pump) != "stop")
    if running:
        words = f"it ends with {', '.join(running)} not stopped"
        return Check(title, "problem", words, "correct safe_sequence: in the rig file")
    heater = rig.plumbing.reactor.heater
    if f"{heater} heater_off" not in orders:
        return Check(title, "problem", f"it never switches {heater} off", "correct safe_sequence: in the rig file")
    return Check(
        title, "ok", f"{', '.join(step.split(' (')[0] for step in steps)}; about {took_s / 60.0:.0f} min if hot"
    )
