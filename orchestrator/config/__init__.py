"""Rig and campaign files: their models, and loading them with every problem named by line and column."""

from orchestrator.config.campaign import (
    Budget,
    CampaignConfig,
    Chemistry,
    Measure,
    PlannerConfig,
    Quality,
    Settle,
    Stop,
)
from orchestrator.config.device_roles import (
    DetectorConfig,
    DeviceConfig,
    HeaterConfig,
    PressureSensorConfig,
    PumpConfig,
    Syringe,
)
from orchestrator.config.devices import Device, NewEraPumpConfig
from orchestrator.config.faults import TwinFault
from orchestrator.config.inputs import UNITS, Fixed, Input
from orchestrator.config.load import LoadedCampaign, load_campaign, load_rig, parse_campaign, parse_rig
from orchestrator.config.objective import ObjectiveConfig
from orchestrator.config.quantities import Range
from orchestrator.config.rig import (
    EthernetPort,
    FolderPort,
    Limits,
    ModbusRtuPort,
    ModbusTcpPort,
    Plumbing,
    Port,
    RigConfig,
    SafeStep,
    SerialPort,
    Stock,
    Tube,
    TwinConfig,
    UsbPort,
)
from orchestrator.config.schema import json_schema, schema_text

__all__ = [
    "UNITS",
    "Budget",
    "CampaignConfig",
    "Chemistry",
    "DetectorConfig",
    "Device",
    "DeviceConfig",
    "EthernetPort",
    "Fixed",
    "FolderPort",
    "HeaterConfig",
    "Input",
    "Limits",
    "LoadedCampaign",
    "Measure",
    "ModbusRtuPort",
    "ModbusTcpPort",
    "NewEraPumpConfig",
    "ObjectiveConfig",
    "PlannerConfig",
    "Plumbing",
    "Port",
    "PressureSensorConfig",
    "PumpConfig",
    "Quality",
    "Range",
    "RigConfig",
    "SafeStep",
    "SerialPort",
    "Settle",
    "Stock",
    "Stop",
    "Syringe",
    "Tube",
    "TwinConfig",
    "TwinFault",
    "UsbPort",
    "json_schema",
    "load_campaign",
    "load_rig",
    "parse_campaign",
    "parse_rig",
    "schema_text",
]
