"""What a rig file may say of the pump, and how its driver is built."""

from __future__ import annotations

from typing import Literal

from lumiflow_acme.driver import AcmePump
from orchestrator.kinds import DeviceKind, DriverContext, SyringePumpConfig


class AcmeConfig(SyringePumpConfig):
    """An Acme syringe pump on a serial line of its own."""

    driver: Literal["acme"]

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """From its data sheet."""
        return AcmePump.flow_range_ul_min


def build(context: DriverContext, name: str, config: AcmeConfig) -> AcmePump:
    """The driver on its line."""
    return AcmePump(context.line(config.port), name)


ACME = DeviceKind(AcmeConfig, ("serial",), build)
