"""Devices in a rig file: one model a driver, each below the class of its role. Plugins add theirs.

Which drivers there are, :mod:`orchestrator.kinds` knows; a third-party package adds a kind with a model of its own.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from orchestrator import units
from orchestrator.config.device_roles import (
    DeviceConfig,
    GasConfig,
    HeaterConfig,
    PhaseSensorConfig,
    PressureSensorConfig,
    PumpConfig,
    SyringePumpConfig,
    ValveConfig,
)
from orchestrator.config.quantities import (
    Flow,
    Line,
    Quantity,
    Volume,
    Whole,
)
from orchestrator.config.spectrometers import FolderSpectrometerConfig, OceanOpticsConfig

# Pumps


class NewEraPumpConfig(SyringePumpConfig):
    """A New Era syringe pump; several share one line, each with its own address."""

    driver: Literal["new_era"]
    address: int = Field(ge=0, le=99)
    safe_mode_timeout_s: Annotated[int, Whole(Quantity(units.TIME, ge=1.0, le=255.0))] | None = None

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """From the plunger's 0.004205 cm/h to 5.1005 cm/min (NE-1000 user manual 1200-01).

        In a narrow syringe, from the slowest flow that the pump's digits can write closely enough.
        """
        from drivers.new_era_frames import slowest_ul_min

        return slowest_ul_min(0.04205 * self.syringe.area_mm2 / 60.0), 51.005 * self.syringe.area_mm2

    @property
    def stops_by_itself_s(self) -> float | None:
        """The time-out of its safe mode."""
        return self.safe_mode_timeout_s


class HarvardPumpConfig(SyringePumpConfig):
    """A Harvard Apparatus syringe pump; several share one line, each with its own address."""

    driver: Literal["harvard"]
    address: int = Field(ge=0, le=99)
    model: Literal["PHD Ultra", "11 Elite"] = "PHD Ultra"

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """From the model's slowest to its fastest plunger."""
        from drivers.harvard import PLUNGER_MM_MIN

        slowest, fastest = PLUNGER_MM_MIN[self.model]
        return slowest * self.syringe.area_mm2, fastest * self.syringe.area_mm2


class CavroPumpConfig(PumpConfig):
    """Tecan Cavro syringe modules with valves, on one line: one that refills itself, or two that take turns.

    ``addresses``: the switch of one module, whose flow pauses while it refills, or of two, whose flow does not.
    ``syringe_volume``: a full stroke. ``reservoir``: what stands in the bottle. ``initialise`` and the ports: a module
    that lost its power empties its syringe through port O on the valve's right side (Z) or left side (Y); as they
    stand, into the reservoir and not into the reactor. ``framing``: OEM has checksums.
    """

    driver: Literal["cavro"]
    addresses: tuple[Annotated[int, Field(ge=0, le=14)], ...] = Field(min_length=1, max_length=2)
    syringe_volume_ul: Annotated[float, Quantity(units.VOLUME, ge=50.0, le=25_000.0)]
    reservoir_ul: Volume
    model: Literal["XLP", "XCalibur"] = "XLP"
    framing: Literal["OEM", "DT"] = "OEM"
    refill_flow_ul_min: Flow | None = None
    initialise: Literal["Z", "Y"] = "Y"
    inlet: Literal["I", "O"] = "O"
    outlet: Literal["I", "O"] = "I"

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """From the slowest plunger whose speed is true to 0.5 %; two modules leave each other time to refill."""
        from drivers.cavro import CavroPair, CavroPump
        from drivers.transport import Line as DeviceLine
        from drivers.transport import SerialTransport

        line = DeviceLine(SerialTransport("nowhere"))
        refill = self.refill_flow_ul_min
        if len(self.addresses) == 1:
            return CavroPump(line, 0, self.syringe_volume_ul, refill_flow_ul_min=refill).flow_range_ul_min
        return CavroPair(line, (0, 1), self.syringe_volume_ul, refill_flow_ul_min=refill).flow_range_ul_min

    @property
    def holds_ul(self) -> float:
        return self.reservoir_ul

    @property
    def bore_mm(self) -> float:
        """Of a stroke of 60 mm (XLP 6000 manual, chapter 1) that displaces a syringe's volume."""
        return math.sqrt(4.0 * self.syringe_volume_ul / (math.pi * 60.0))

    @property
    def pauses(self) -> bool:
        return len(self.addresses) == 1


# Temperature controllers


def _register_c(decimals: int) -> tuple[float, float]:
    """What a signed 16-bit register holds with so many decimals."""
    return -0x8000 / 10.0**decimals, 0x7FFF / 10.0**decimals


def _register_words(decimals: int) -> str:
    return f"16-bit registers with {decimals} decimals; fewer reach further"


class EurothermConfig(HeaterConfig):
    """A Eurotherm 2400 or 3200 temperature controller on Modbus."""

    driver: Literal["eurotherm"]
    unit: int = Field(ge=1, le=247)
    registers: Literal["integer", "float"] = "integer"
    decimals: int = Field(default=1, ge=0, le=2)

    @property
    def tells_c(self) -> tuple[float, float]:
        return super().tells_c if self.registers == "float" else _register_c(self.decimals)

    @property
    def tells_no_more_because(self) -> str:
        return _register_words(self.decimals)


class NanodacConfig(HeaterConfig):
    """One control loop of a Eurotherm nanodac on Modbus, and the channel that measures for it."""

    driver: Literal["nanodac"]
    unit: int = Field(default=1, ge=1, le=247)
    loop: int = Field(default=1, ge=1, le=2)
    channel: int = Field(default=1, ge=1, le=4)


class WatlowConfig(HeaterConfig):
    """A Watlow PM on Modbus. ``temperature_unit``: what it sends over the line; if left out, it is asked."""

    driver: Literal["watlow"]
    unit: int = Field(ge=1, le=247)
    word_order: Literal["low first", "high first"] = "low first"
    temperature_unit: Literal["C", "F"] | None = None


class OmegaConfig(HeaterConfig):
    """An Omega Platinum on Modbus."""

    driver: Literal["omega"]
    unit: int = Field(ge=1, le=247)


class NovusConfig(HeaterConfig):
    """A Novus N1100 or N2000 on Modbus. ``decimals``: those of its display; if left out, it is asked."""

    driver: Literal["novus"]
    unit: int = Field(ge=1, le=247)
    decimals: int | None = Field(default=None, ge=0, le=3)

    @property
    def tells_c(self) -> tuple[float, float]:
        return super().tells_c if self.decimals is None else _register_c(self.decimals)

    @property
    def tells_no_more_because(self) -> str:
        return _register_words(self.decimals or 0)


class JulaboConfig(HeaterConfig):
    """A Julabo circulator on a serial line of its own (4800 baud, 7 data bits, even parity)."""

    driver: Literal["julabo"]
    sensor: Literal["internal", "external"] = "internal"


class IkaConfig(HeaterConfig):
    """An IKA hotplate on a serial line of its own (9600 baud, 7 data bits, even parity).

    ``watchdog_mode`` 1: a silent host makes it switch off with an error; 2: it goes to its safe temperature.
    """

    driver: Literal["ika"]
    sensor: Literal["external", "plate"] = "external"
    watchdog_s: Annotated[int, Whole(Quantity(units.TIME, ge=20.0, le=1500.0))] = 30
    watchdog_mode: Literal[1, 2] = 1

    @property
    def tells_c(self) -> tuple[float, float]:
        from drivers.ika import COLDEST_C, HOTTEST_C

        return COLDEST_C, HOTTEST_C

    @property
    def tells_no_more_because(self) -> str:
        return "beyond them its sensor counts as broken"

    @property
    def stops_by_itself_s(self) -> float | None:
        """The time of its watchdog."""
        return self.watchdog_s


# Around the reactor


class PressureConfig(PressureSensorConfig):
    """A 4 to 20 mA pressure transmitter behind a Modbus input module that gives its current in µA."""

    driver: Literal["pressure_4_20ma"]
    unit: int = Field(ge=1, le=247)
    register_address: int = Field(default=0, ge=0, le=65_535, alias="register")


class ViciConfig(ValveConfig):
    """A VICI Valco selector valve; several share one line, each with its own ``id`` (one of 0-9, A-Z)."""

    driver: Literal["vici"]
    unit_id: str = Field(default="", alias="id", pattern="^[0-9A-Z]?$", description="one of 0-9 and A-Z, or none")


class AlicatConfig(GasConfig):
    """An Alicat gas flow controller; several share one line, each with its own ``id`` (A to Z).

    ``full_scale`` and ``flow_unit``: as on its label. ``gas``: as it spells it; if given, it must be set to that.
    """

    driver: Literal["alicat"]
    unit_id: str = Field(default="A", alias="id", pattern="^[A-Z]$", description="a capital letter, A to Z")
    full_scale: float = Field(gt=0.0, le=1.0e6)
    flow_unit: Literal["SCCM", "SLPM"] = "SCCM"
    gas: Line | None = None


class BronkhorstConfig(GasConfig):
    """A Bronkhorst gas flow controller on a serial line of its own (38400 baud).

    ``node``: 128 is whoever is at the other end. ``gas``: as it spells it; if given, it must be set to that.
    """

    driver: Literal["bronkhorst"]
    node: int = Field(default=128, ge=1, le=128)
    gas: Line | None = None


class PhaseConfig(PhaseSensorConfig):
    """A bubble sensor with a 0 to 5 V output behind a Modbus input module that gives mV.

    ``liquid`` and ``gas``: its voltage for either.
    """

    driver: Literal["phase_0_5v"]
    unit: int = Field(ge=1, le=247)
    register_address: int = Field(default=0, ge=0, le=65_535, alias="register")
    liquid_v: Annotated[float, Quantity(units.VOLTAGE, ge=0.0, le=5.0)] = 5.0
    gas_v: Annotated[float, Quantity(units.VOLTAGE, ge=0.0, le=5.0)] = 0.0


BUILT_IN: tuple[type[DeviceConfig], ...] = (
    NewEraPumpConfig,
    HarvardPumpConfig,
    CavroPumpConfig,
    EurothermConfig,
    NanodacConfig,
    WatlowConfig,
    OmegaConfig,
    NovusConfig,
    JulaboConfig,
    IkaConfig,
    OceanOpticsConfig,
    FolderSpectrometerConfig,
    PressureConfig,
    ViciConfig,
    AlicatConfig,
    BronkhorstConfig,
    PhaseConfig,
)
"""The models that come with Lumiflow."""


class _AnyDevice:
    """Annotation: one of the models of all kinds, told apart by ``driver``. Known when the first file is read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from orchestrator.kinds import device_kinds

        models = {word: handler.generate_schema(kind.config) for word, kind in device_kinds().items()}
        return core_schema.tagged_union_schema(models, discriminator="driver")


Device = Annotated[DeviceConfig, _AnyDevice()]
