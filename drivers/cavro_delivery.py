"""Strokes of one or two Cavro modules, led so that together they give one flow. See :mod:`drivers.cavro`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from drivers.cavro_frames import FASTEST_PULSES_S
from drivers.cavro_module import CavroModule, ModuleSettings
from drivers.errors import DeviceAlarmError, DriverError, OutOfRangeError, ReadBackError, RefusedError, must_be_within
from drivers.readings import Look, PumpState, PumpStatus

__all__ = ["SLOWEST_PULSES_S", "CavroDelivery"]

SLOWEST_PULSES_S: Final = 100
"""The pump takes whole pulses a second; from 100 on any flow is met within 0.5 %."""
REFILL_S: Final = 10.0
"""A full stroke's refill unless told otherwise: slow enough for a viscous solvent not to degas."""
SHARPEN_S: Final = 1.0
"""How long before a hand-over the emptying plunger is looked at once more."""
POLL_S: Final = 0.1
PATIENCE: Final = 30
"""Failed looks in a row, a second apart, after which the strokes are given up."""


class CavroDelivery:
    """Syringes that give one flow in turn. At most one gives at any time, but for the instant of a hand-over.

    The strokes of an infusion that is larger than a syringe are led by a task of this driver; a host that dies leaves
    a pump that stops by itself at the end of its stroke.
    """

    def __init__(
        self,
        modules: Sequence[CavroModule],
        settings: ModuleSettings,
        refill_flow_ul_min: float | None,
        max_volume_ul: float | None,
        name: str,
    ) -> None:
        if max_volume_ul is not None and not (math.isfinite(max_volume_ul) and max_volume_ul > 0):
            raise OutOfRangeError("largest volume in µL", low=0, high=math.inf, device=name, asked=max_volume_ul)
        refill = refill_flow_ul_min if refill_flow_ul_min is not None else settings.syringe_volume_ul / REFILL_S * 60.0
        low, high = settings.flow_ul_min(SLOWEST_PULSES_S), settings.flow_ul_min(FASTEST_PULSES_S)
        if not low <= refill <= high:
            raise OutOfRangeError("refill flow in µL/min", low=low, high=high, device=name, asked=refill)
        self._modules = tuple(modules)
        self._settings = settings
        self._refill_pulses_s = settings.pulses_s(refill)
        self._max_volume_ul = max_volume_ul
        self._name = name
        self._lock = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._alarm: str | None = None
        self._bound_ul: float | None = None
        self._pulses_s = 0
        self._giving: CavroModule | None = None
        self._stopped = True

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow."""
        raise NotImplementedError

    # ---- verbs ----------------------------------------------------------------------------------------------------

    async def connect(self) -> str:
        """Open the line and bring every syringe to rest. Returns their firmware.

        Nothing moves: a syringe that is not initialised (power-up, overload) is initialised by the next ``infuse``.
        The volumes of ``status`` count from here.
        """
        async with self._lock:
            self._forget()
            try:
                identities = [await module.connect() for module in self._modules]
            except BaseException:
                await self._release()
                raise
            self._alarm = None
        return " + ".join(identities)

    async def look(self) -> Look:
        """Firmware, errors and plungers; clears not even an error. Before ``connect`` the line is left again."""
        async with self._lock:
            seen = [await module.glance() for module in self._modules]
        return Look(*(" + ".join(words) for words in zip(*seen, strict=True)))

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at ``flow_ul_min``, and stop after ``volume_ul`` from now, over as many strokes as that takes.

        Returns the flow in µL/min once fluid moves: a syringe that lacks the volume is filled first, which takes up to
        a refill and two turns of the valve. Where the pump already infuses, it goes on: a rate of up to 10.24 strokes a
        minute changes without a stop, a bound within 2 % of the present one stays.

        Raises OutOfRangeError, ReadBackError, DeviceAlarmError, RefusedError (``stop`` was called meanwhile).
        """
        low, high = self.flow_range_ul_min
        self._check("flow", "µL/min", flow_ul_min, low, high)
        self._check("volume", "µL", volume_ul, self._settings.increment_ul, self._max_volume_ul or 1e6)
        pulses_s = self._settings.pulses_s(flow_ul_min)
        async with self._lock:
            if self._alarm is not None:
                raise self._alarmed("infuse")
            self._dismiss_keeper()
        try:
            await self._begin(pulses_s, volume_ul)
        except DriverError as error:
            async with self._lock:
                await self._give_up(error.alarm if isinstance(error, DeviceAlarmError) else None)
            raise
        except BaseException:
            self._bound_ul = None
            raise
        return self._settings.flow_ul_min(pulses_s)

    async def stop(self) -> None:
        """Be stopped, verified. Works under an alarm."""
        async with self._lock:
            self._forget()
            await self._halt_all()

    async def status(self) -> PumpStatus:
        """State, volumes since ``connect`` over all strokes, and the latched alarm.

        ``withdrawn_ul`` is what refills drew from the reservoir. A single syringe is WITHDRAWING while it refills. Of
        two, the one that is full is started here if its turn has come and a busy host has not got round to it.
        """
        for module in self._modules:
            # The lock is let go in between: a hand-over may be due.
            async with self._lock:
                try:
                    await module.look()
                except (DeviceAlarmError, RefusedError) as error:
                    if self._alarm is None:
                        await self._give_up(error.alarm if isinstance(error, DeviceAlarmError) else error.message)
        async with self._lock:
            infuses = self._infuses
            if not infuses and self._bound_ul is not None and len(self._modules) > 1:
                with suppress(DriverError):  # the task that leads the strokes meets it again, and deals with it
                    await self._step()
                infuses = self._infuses
            if infuses:
                state = PumpState.INFUSING
            else:
                state = PumpState.WITHDRAWING if self._left_ul() > 0.0 else PumpState.STOPPED
            return PumpStatus(
                state,
                sum(module.infused_ul for module in self._modules),
                sum(module.withdrawn_ul for module in self._modules),
                self._alarm,
            )

    def clear_alarm(self) -> None:
        """Forget the latched alarm; the pump has been seen to. An overloaded syringe is initialised by ``infuse``."""
        self._alarm = None
        for module in self._modules:
            module.alarm = None

    async def close(self) -> None:
        """Leave the line. A stroke that runs is finished by the pump, and no other follows."""
        async with self._lock:
            self._forget()
            await self._release()

    # ---- strokes --------------------------------------------------------------------------------------------------

    async def _begin(self, pulses_s: int, volume_ul: float) -> None:
        """Step until a syringe gives, then leave the strokes to the task."""
        async with self._lock:
            await self._take_over(pulses_s, volume_ul)
            pause_s = await self._step()
        while self._giving is None and pause_s is not None:
            await asyncio.sleep(pause_s)
            async with self._lock:
                pause_s = await self._step()
        if self._bound_ul is not None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"strokes of {self._name}")
        elif self._alarm is not None:
            raise self._alarmed("infuse")
        elif self._giving is None and self._stopped:
            raise RefusedError(
                "stopped before the syringe was full", device=self._name, port=self._modules[0].port, asked="infuse"
            )

    async def _take_over(self, pulses_s: int, volume_ul: float) -> None:
        """Give what is already moving the new rate and bound."""
        self._stopped = False
        for module in self._modules:
            if module.order is not None:
                await module.look()
        given_ul = sum(module.given_ul for module in self._modules)
        if self._bound_ul is None or abs(self._bound_ul - given_ul - volume_ul) > max(1.0, 0.02 * volume_ul):
            self._bound_ul = given_ul + volume_ul
        giving = [module for module in self._modules if module.outstanding > 0]
        self._giving = giving[-1] if giving else None
        same_rate, self._pulses_s = pulses_s == self._pulses_s, pulses_s
        too_far = self._left_ul() < 0.0
        if too_far or not (same_rate or all([await module.change_speed(pulses_s) for module in giving])):
            for module in giving:
                await module.halt()
            self._giving = None

    async def _keep(self) -> None:
        """Lead the strokes until the bound is reached."""
        failures = 0
        pause_s: float | None = 0.0
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            async with self._lock:
                try:
                    pause_s = await self._step()
                    failures = 0
                except DeviceAlarmError as error:
                    return await self._give_up(error.alarm)
                except (RefusedError, ReadBackError) as error:
                    return await self._give_up(error.message)
                except DriverError as error:
                    pause_s = 1.0
                    failures += 1
                    if failures >= PATIENCE:
                        return await self._give_up(f"out of reach: {error.message}")
        return None

    async def _step(self) -> float | None:
        """Hand over, look, refill; returns when to look again, in s, or None when all is given or ordered to be."""
        if self._bound_ul is None:
            return None
        now_s = asyncio.get_running_loop().time()
        before = self._giving
        if before is not None and before.order is not None and before.order.end_s - now_s <= before.lead_s + 0.001:
            # First of all, for every exchange before it would be a gap in the flow.
            await self._start_next(before)
        for module in self._modules:
            if module.order is not None:
                await module.look()
        if self._giving is not None and self._giving.order is None:
            self._giving = None
        if self._giving is None:
            await self._start_next(None)
        for module in self._modules:
            if module.order is None and module is not self._giving and self._wants_filling(module):
                if module.initialised:
                    await module.refill(self._refill_pulses_s)
                else:
                    await module.initialise()
        return self._pause_s()

    async def _start_next(self, before: CavroModule | None) -> None:
        """Start the syringe that is ready. Without one that gives already, one that will not pause at once."""
        left = math.floor(self._left_ul() / self._settings.increment_ul + 1e-6)
        if left <= 0:
            return
        ready = [
            module
            for module in self._modules
            if module is not before and module.order is None and module.initialised and module.position > 0
        ]
        if before is None:
            ready = [module for module in ready if module.position >= min(left, self._settings.stroke - 1)]
        if ready:
            fullest = max(ready, key=lambda module: module.position)
            await fullest.dispense(self._pulses_s, min(left, fullest.position))
            self._giving = fullest

    def _wants_filling(self, module: CavroModule) -> bool:
        if not module.initialised:
            return True
        return module.position < self._settings.stroke and (len(self._modules) > 1 or self._left_ul() > 0.0)

    @property
    def _infuses(self) -> bool:
        return any(module.outstanding > 0 for module in self._modules)

    def _left_ul(self) -> float:
        """What is neither given nor ordered to be given."""
        if self._bound_ul is None:
            return 0.0
        ordered = sum(module.outstanding for module in self._modules) * self._settings.increment_ul
        left_ul = self._bound_ul - sum(module.given_ul for module in self._modules) - ordered
        return left_ul if abs(left_ul) >= self._settings.increment_ul else 0.0

    def _pause_s(self) -> float | None:
        now_s = asyncio.get_running_loop().time()
        all_ordered = self._left_ul() <= 0.0
        pauses = []
        for module in self._modules:
            if module.order is None:
                continue
            left_s = module.order.end_s - now_s
            if module is self._giving and len(self._modules) > 1 and not all_ordered:
                pauses.append(left_s - SHARPEN_S if left_s > SHARPEN_S + 0.2 else left_s - module.lead_s)
            elif left_s > 0.0:
                pauses.append(left_s + 0.02)
            else:
                pauses.append(POLL_S)
        if not pauses:
            if all_ordered:
                self._bound_ul = None
                return None
            return POLL_S
        return max(min(pauses), 0.0)

    # ---- leaving off ----------------------------------------------------------------------------------------------

    async def _give_up(self, alarm: str | None) -> None:
        """Latch an alarm, if there is one, and bring every syringe to rest as well as may be."""
        self._alarm = self._alarm or alarm
        self._bound_ul = None
        self._giving = None
        with suppress(DriverError):
            await self._halt_all()

    async def _halt_all(self) -> None:
        """One that fails does not spare the others; its error is raised after them."""
        failed: DriverError | None = None
        for module in self._modules:
            try:
                await module.halt()
            except DriverError as error:
                failed = failed or error
            self._alarm = self._alarm or module.alarm
        if failed is not None:
            raise failed

    def _forget(self) -> None:
        self._dismiss_keeper()
        self._bound_ul = None
        self._giving = None
        self._stopped = True

    def _dismiss_keeper(self) -> None:
        """Called under the lock: the task is asleep or waits for the lock, never within an exchange."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    async def _release(self) -> None:
        for module in self._modules:
            await module.close()

    def _check(self, what: str, unit: str, value: float, low: float, high: float) -> None:
        must_be_within(what, value, low, high, unit, device=self._name, port=self._modules[0].port)

    def _alarmed(self, verb: str) -> DeviceAlarmError:
        alarm = self._alarm or ""
        return DeviceAlarmError(
            f"the pump reports an alarm: {alarm}",
            alarm=alarm,
            device=self._name,
            port=self._modules[0].port,
            asked=verb,
        )
