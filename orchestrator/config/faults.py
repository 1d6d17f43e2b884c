"""Faults of the simulated rig: the ``faults:`` of a rig file's ``twin:`` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator import units
from orchestrator.config.quantities import Name, Quantity, Section, Time


class _Fault(Section):
    """A fault of the simulated rig. ``at``: when it begins, from the start of the run. ``every``: it comes again and
    again at random, at this mean interval from ``at`` on. ``duration``: how long it lasts; if left out, until the end
    for what only a person mends, else some seconds."""

    at_s: Annotated[float, Quantity(units.TIME, ge=0.0, le=3.0e7)] = 0.0
    every_s: Time | None = None
    duration_s: Time | None = None

    @property
    def target(self) -> str:
        """The device or port that it befalls; "reactor" for the line behind the mixer."""
        return "reactor"

    @property
    def size(self) -> float | None:
        """How large it is, in the unit of its own kind; None for one that has no size."""
        return None


class _DeviceFault(_Fault):
    device: Name

    @property
    def target(self) -> str:
        return self.device


class _PortFault(_Fault):
    port: Name

    @property
    def target(self) -> str:
        return self.port


class PumpFault(_DeviceFault):
    """A blocked plunger, or a blip of one pump's power."""

    fault: Literal["pump_stall", "power_blip"]


class SyringeEmpty(_DeviceFault):
    """A syringe that holds less than everybody believes."""

    fault: Literal["syringe_empty"]
    left_ul: Annotated[float, Quantity(units.VOLUME, ge=0.0, le=1.0e6)] = 0.0

    @property
    def size(self) -> float:
        return self.left_ul


class Leak(_Fault):
    """A share of the flow drips out before the mixer: of one pump's, or of all."""

    fault: Literal["leak"]
    device: Name | None = None
    share: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] = 0.6

    @property
    def target(self) -> str:
        return self.device or "reactor"

    @property
    def size(self) -> float:
        return self.share


class Clog(_Fault):
    """The resistance behind the mixer doubles again and again; pumps stall in the end."""

    fault: Literal["clog"]
    doubling_s: Annotated[float, Quantity(units.TIME, ge=0.1, le=1.0e6)] = 30.0

    @property
    def size(self) -> float:
        return self.doubling_s


class HeaterFault(_DeviceFault):
    """A thermocouple that breaks or comes off its block, or a relay that welds shut and heats for ever."""

    fault: Literal["sensor_break", "sensor_detached", "relay_welded"]


class DetectorFault(_DeviceFault):
    """A spectrometer that is unplugged or hangs."""

    fault: Literal["usb_unplug", "usb_hang"]


class Bubble(_DeviceFault):
    """A bubble that fills a share of the flow cell."""

    fault: Literal["bubble"]
    share: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] = 1.0

    @property
    def size(self) -> float:
        return self.share


class Saturation(_DeviceFault):
    """A lamp that is so many times too bright."""

    fault: Literal["saturation"]
    factor: float = Field(default=1000.0, ge=1.0, le=1.0e6)

    @property
    def size(self) -> float:
        return self.factor


class LampDrift(_DeviceFault):
    """A lamp whose power changes from now on, besides its ordinary drift."""

    fault: Literal["lamp_drift"]
    drift_per_h: Annotated[float, Quantity(units.DRIFT, ge=-10.0, le=10.0)] = -0.3

    @property
    def size(self) -> float:
        return self.drift_per_h


class Fouling(_DeviceFault):
    """A grey film that grows on the windows of the flow cell: absorbance per hour."""

    fault: Literal["fouling"]
    absorbance_per_h: float = Field(default=0.5, ge=0.0, le=100.0, alias="absorbance_per_h")

    @property
    def size(self) -> float:
        return self.absorbance_per_h


class BrokenWire(_DeviceFault):
    """A current loop that is cut."""

    fault: Literal["broken_wire"]


class PortFault(_PortFault):
    """A port on which nothing passes, or that is pulled out of the computer."""

    fault: Literal["silence", "port_loss"]


class Garbage(_PortFault):
    """A share of the bytes, both ways, that arrive as another byte."""

    fault: Literal["garbage"]
    share: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] = 0.01

    @property
    def size(self) -> float:
        return self.share


class Dropped(_PortFault):
    """A share of the replies that never arrive."""

    fault: Literal["dropped"]
    share: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] = 0.05

    @property
    def size(self) -> float:
        return self.share


class Late(_PortFault):
    """Replies that come late."""

    fault: Literal["late"]
    delay_s: Annotated[float, Quantity(units.TIME, gt=0.0, le=3600.0)] = 0.8

    @property
    def size(self) -> float:
        return self.delay_s


TwinFault = Annotated[
    PumpFault
    | SyringeEmpty
    | Leak
    | Clog
    | HeaterFault
    | DetectorFault
    | Bubble
    | Saturation
    | LampDrift
    | Fouling
    | BrokenWire
    | PortFault
    | Garbage
    | Dropped
    | Late,
    Field(discriminator="fault"),
]
