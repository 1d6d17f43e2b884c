"""Every kind of device that a rig file may name. A third-party package adds its own; CONTRIBUTING shows how."""

from orchestrator.config.device_roles import (
    DetectorConfig,
    DeviceConfig,
    GasConfig,
    HeaterConfig,
    PhaseSensorConfig,
    PressureSensorConfig,
    PumpConfig,
    Role,
    Syringe,
    SyringePumpConfig,
    ValveConfig,
)
from orchestrator.kinds.kind import DeviceKind, DriverContext, PortKind
from orchestrator.kinds.registry import DEVICES, BrokenPlugin, broken_plugins, device_kinds, kind_of

__all__ = [
    "DEVICES",
    "BrokenPlugin",
    "DetectorConfig",
    "DeviceConfig",
    "DeviceKind",
    "DriverContext",
    "GasConfig",
    "HeaterConfig",
    "PhaseSensorConfig",
    "PortKind",
    "PressureSensorConfig",
    "PumpConfig",
    "Role",
    "Syringe",
    "SyringePumpConfig",
    "ValveConfig",
    "broken_plugins",
    "device_kinds",
    "kind_of",
]
