"""Tecan Cavro syringe modules (XLP, XCalibur) as pumps: one that refills itself, and a pair that never pauses."""

from __future__ import annotations

from typing import Literal

from drivers.cavro_delivery import SLOWEST_PULSES_S, CavroDelivery
from drivers.cavro_frames import FASTEST_PULSES_S, Framing, ModelName
from drivers.cavro_module import VALVE_S, CavroModule, ModuleSettings, Port
from drivers.transport import Line

__all__ = ["CavroPair", "CavroPump"]


class CavroPump(CavroDelivery):
    """One syringe with its valve; it refills itself, and the flow pauses meanwhile.

    Every stroke ends at a plunger position, so that the pump stops by itself; ``infuse`` bounds the sum of strokes. An
    alarm (overload, power blip) latches: ``infuse`` raises :class:`DeviceAlarmError` until ``clear_alarm`` or
    ``connect``; ``stop`` and ``status`` always work.

    The first ``infuse`` after a power-up initialises: whatever the syringe held then leaves through port O, uncounted,
    for nobody knows how much it was. After an overload it is known, and counts as infused where O is the outlet.

    Assumed: mode N2 counts speed in eighths of a half-step; ``?`` follows a plunger that moves; a pump that lost its
    power reports error 7 to ``Q``.

    Args:
        line: the serial line (9600 or 38400 baud 8N1), shared by the modules chained on it.
        address: position of the module's address switch, 0 to 14.
        syringe_volume_ul: volume of a full stroke.
        max_volume_ul: largest volume of one infusion, or None; it may be many strokes.
        model: XLP or XCalibur.
        framing: OEM (checksums, idempotent resends) unless the pump's other users speak DT.
        refill_flow_ul_min: a full stroke in 10 s unless given.
        initialise: Z empties the syringe through port O on the valve's right side, Y on its left.
        inlet, outlet: the valve's ports to the reservoir and to the reactor. ``initialise="Y", inlet="O", outlet="I"``
            with the reactor on the right initialises into the reservoir.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        address: int,
        syringe_volume_ul: float,
        max_volume_ul: float | None = None,
        *,
        model: ModelName = "XLP",
        framing: Framing = "OEM",
        refill_flow_ul_min: float | None = None,
        initialise: Literal["Z", "Y"] = "Z",
        inlet: Port = "I",
        outlet: Port = "O",
        name: str = "pump",
    ) -> None:
        settings = ModuleSettings(syringe_volume_ul, model, framing, initialise, inlet, outlet)
        modules = (CavroModule(line, address, settings, name),)
        super().__init__(modules, settings, refill_flow_ul_min, max_volume_ul, name)

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest flow that is met within 0.5 %, and a full stroke in 1 s."""
        return self._settings.flow_ul_min(SLOWEST_PULSES_S), self._settings.flow_ul_min(FASTEST_PULSES_S)


class CavroPair(CavroDelivery):
    """Two syringes on one outlet, for a flow without gaps: one gives while the other refills.

    The full one is started as the empty one is about to end, by the plunger's own position: at 9600 baud the flow
    pauses for some hundredths of a second at most. Arguments are those of :class:`CavroPump`, with the addresses of
    both modules; both have the same syringe and plumbing. An alarm of one stops both.
    """

    def __init__(
        self,
        line: Line,
        addresses: tuple[int, int],
        syringe_volume_ul: float,
        max_volume_ul: float | None = None,
        *,
        model: ModelName = "XLP",
        framing: Framing = "OEM",
        refill_flow_ul_min: float | None = None,
        initialise: Literal["Z", "Y"] = "Z",
        inlet: Port = "I",
        outlet: Port = "O",
        name: str = "pump",
    ) -> None:
        if len(set(addresses)) != 2:
            raise ValueError(f"a pair needs two addresses, not {addresses}")
        settings = ModuleSettings(syringe_volume_ul, model, framing, initialise, inlet, outlet)
        modules = [CavroModule(line, address, settings, f"{name}/{address}") for address in addresses]
        super().__init__(modules, settings, refill_flow_ul_min, max_volume_ul, name)

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest flow that is met within 0.5 %, and the fastest that leaves the other syringe time to refill."""
        refill_s = self._settings.syringe_volume_ul / self._settings.flow_ul_min(self._refill_pulses_s) * 60.0
        fastest = self._settings.syringe_volume_ul / (refill_s + 2 * VALVE_S + 2.0) * 60.0
        return self._settings.flow_ul_min(SLOWEST_PULSES_S), fastest
