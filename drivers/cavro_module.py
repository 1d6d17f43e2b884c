"""One Cavro syringe module on the wire: its plunger, its valve, and what it has moved. See :mod:`drivers.cavro`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from drivers.cavro_frames import (
    ERRORS,
    FASTEST_ON_THE_FLY_PULSES_S,
    FINE_INCREMENTS,
    FINE_PULSES,
    NEED_INITIALISING,
    Answer,
    Framing,
    ModelName,
    encode_dt,
    encode_oem,
    parse_dt,
    parse_number,
    parse_oem,
    receive_dt,
    receive_oem,
)
from drivers.errors import (
    DeviceAlarmError,
    DriverError,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.line_device import LineDevice
from drivers.transport import Line

__all__ = ["VALVE_S", "CavroModule", "ModuleSettings", "Order", "Port"]

T = TypeVar("T")

VALVE_S: Final = 0.25
"""A quarter turn of the valve, at most (manual, appendix on valves)."""
READY_S: Final = 5.0
"""How long a terminated module may take to come to rest: its valve is not terminated."""
ALARMS: Final = {1: "initialisation failed", 7: "power was reset", 9: "stalled", 10: "valve overload"}

Port = Literal["I", "O"]


@dataclass
class Order:
    """What the module was told to do: plunger from ``start`` to ``target``, done at about ``end_s``."""

    kind: Literal["dispense", "refill", "initialise"]
    start: int
    target: int
    end_s: float


@dataclass(frozen=True)
class ModuleSettings:
    """How a module is built and plumbed; see :class:`drivers.cavro.CavroPump`."""

    syringe_volume_ul: float
    model: ModelName = "XLP"
    framing: Framing = "OEM"
    initialise: Literal["Z", "Y"] = "Z"
    inlet: Port = "I"
    outlet: Port = "O"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.syringe_volume_ul) and self.syringe_volume_ul > 0):
            raise OutOfRangeError("syringe volume in µL", low=0, high=math.inf, asked=self.syringe_volume_ul)
        if self.inlet == self.outlet:
            raise ValueError(f"a syringe cannot fill and empty through the same port {self.inlet}")

    @property
    def stroke(self) -> int:
        """Increments of a full stroke."""
        return FINE_INCREMENTS[self.model]

    @property
    def increment_ul(self) -> float:
        """Volume of one increment."""
        return self.syringe_volume_ul / self.stroke

    def flow_ul_min(self, pulses_s: float) -> float:
        """Flow at a plunger speed."""
        return pulses_s / FINE_PULSES * self.syringe_volume_ul * 60.0

    def pulses_s(self, flow_ul_min: float) -> int:
        """Plunger speed nearest to a flow."""
        return round(flow_ul_min / 60.0 / self.syringe_volume_ul * FINE_PULSES)


class CavroModule(LineDevice):
    """One module at ``address`` (its switch, 0 to 14) of a line: it gives and takes one stroke at a time."""

    def __init__(self, line: Line, address: int, settings: ModuleSettings, name: str) -> None:
        if not 0 <= address <= 14:
            raise OutOfRangeError("pump address", low=0, high=14, device=name, asked=address)
        super().__init__(line, name)
        self.settings = settings
        self.order: Order | None = None
        self.position = 0
        self.initialised = False
        self.alarm: str | None = None
        self.at_outlet = False
        self.lead_s = 0.01
        self._line = line
        self._address = address
        self._sequence = 0
        self._pulses_s = 0
        self._banked = {"dispense": 0, "refill": 0}
        self._expelled = 0

    # ---- what it has moved ----------------------------------------------------------------------------------------

    @property
    def given_ul(self) -> float:
        """Given by strokes since ``connect``."""
        return self._moved("dispense") * self.settings.increment_ul

    @property
    def infused_ul(self) -> float:
        """Gone through the outlet since ``connect``: strokes, and what initialising pressed out there."""
        return self.given_ul + self._expelled * self.settings.increment_ul

    @property
    def withdrawn_ul(self) -> float:
        """Drawn in since ``connect``."""
        return self._moved("refill") * self.settings.increment_ul

    @property
    def port(self) -> str:
        """The line it is on, in words."""
        return self._line.name

    @property
    def outstanding(self) -> int:
        """Increments that an order to dispense has still to give."""
        order = self.order
        return self.position - order.target if order is not None and order.kind == "dispense" else 0

    def _moved(self, kind: Literal["dispense", "refill"]) -> int:
        order = self.order
        live = abs(self.position - order.start) if order is not None and order.kind == kind else 0
        return self._banked[kind] + live

    # ---- verbs ----------------------------------------------------------------------------------------------------

    async def _meet(self) -> str:
        """Bring the module to rest, choose the fine mode. Moves nothing, initialises nothing."""
        self.order = None
        self.initialised = False
        self._banked = {"dispense": 0, "refill": 0}
        self._expelled = 0
        # Q clears an overload that is past; the next one says what is left of it.
        await self._ask("Q", tolerate=True)
        identity = (await self._ask("&", tolerate=True)).data.strip()
        if not identity:
            raise self._fault(ProtocolError, "the module does not say its firmware", "&", identity)
        await self.halt()
        self.initialised = (await self._ask("Q", tolerate=True)).error not in NEED_INITIALISING
        # A speed that only mode N2 allows shows that it took.
        await self._act(f"N2V{FASTEST_ON_THE_FLY_PULSES_S}", tolerate=True)
        await self._check_speed(FASTEST_ON_THE_FLY_PULSES_S)
        self.position = await self._read_position()
        await self._read_valve()
        self.alarm = None
        return identity

    async def glance(self) -> tuple[str, str, str]:
        """Firmware, error and plunger in words. Asks for reports only: ``Q`` would clear an error that is past."""
        async with self._visiting():
            identity = (await self._ask("&", tolerate=True)).data.strip()
            answer = await self._ask("?", tolerate=True)
            position = self._parsed(parse_number, answer.data)
        error = ERRORS.get(answer.error, f"error {answer.error}") if answer.error else "no error"
        filled_ul = position * self.settings.increment_ul
        return identity, error, f"plunger at {position}, {filled_ul:.4g} µL if in the fine mode"

    async def initialise(self) -> None:
        """Find the plunger's zero. The syringe's content leaves through port O (manual: ``Z`` right, ``Y`` left)."""
        start = self.position
        await self._act(self.settings.initialise, tolerate=True)
        self.order = Order("initialise", start, 0, self._now() + VALVE_S)
        self.at_outlet = False

    async def refill(self, pulses_s: int) -> None:
        """Turn to the inlet, fill up, turn back: one program of the pump's own, whole without the host."""
        settings = self.settings
        duration_s = (settings.stroke - self.position) / self._increments_s(pulses_s) + 2 * VALVE_S
        await self._act(f"{settings.inlet}V{pulses_s}A{settings.stroke}{settings.outlet}")
        self.order = Order("refill", self.position, settings.stroke, self._now() + duration_s)
        self.at_outlet = False

    async def dispense(self, pulses_s: int, increments: int) -> None:
        """Give ``increments`` at ``pulses_s``. An absolute move: sent twice it is done once."""
        target = self.position - increments
        valve = "" if self.at_outlet else self.settings.outlet
        # The speed comes before the turn of the valve: it is read back while the valve still turns.
        await self._act(f"V{pulses_s}{valve}A{target}")
        self.order = Order("dispense", self.position, target, 0.0)
        self._pulses_s = pulses_s
        self._expect_end(self._now() - self.lead_s)
        self.at_outlet = True
        await self._check_speed(pulses_s)

    async def change_speed(self, pulses_s: int) -> bool:
        """Change a running dispense's speed without stopping it; False where the pump could not."""
        if max(pulses_s, self._pulses_s) > FASTEST_ON_THE_FLY_PULSES_S:
            return False
        await self._act(f"V{pulses_s}")
        self._pulses_s = pulses_s
        await self._check_speed(pulses_s)
        return True

    async def halt(self) -> None:
        """Be at rest, verified; what was given or drawn up to here counts.

        One that was told to move is terminated whatever it says of itself: a stale answer may say "ready" of it.
        """
        if self.order is not None:
            await self._ask("T", tolerate=True)
        for attempt in range(1 + round(READY_S / 0.1)):
            if (await self._ask("Q", tolerate=True)).ready:
                break
            if attempt % 10 == 0:
                await self._ask("T", tolerate=True)
            else:
                await asyncio.sleep(0.1)
        else:
            raise self._fault(RefusedError, "the plunger does not stop", "T", "busy")
        if self.order is not None:
            self.position = await self._read_position()
            self._bank()
            await self._read_valve()

    async def look(self) -> None:
        """See how far an order has come; ends it when it is done.

        Raises DeviceAlarmError for an overload, a lost initialisation, a stroke that ended or went elsewhere than told;
        RefusedError for an operand that the module refuses, which shows here first.
        """
        answer = await self._ask("Q", tolerate=True)
        if self.alarm is not None:
            raise self._alarmed(f"error {answer.error}", "Q")
        order = self.order
        if answer.error and not (answer.error == 7 and (order is None or not answer.ready)):
            if order is not None and order.kind == "initialise":
                self.alarm = ALARMS.get(answer.error, ALARMS[1])
                raise self._alarmed(f"error {answer.error}", "Q")
            raise self._refused(answer, "Q")
        if order is None:
            return
        before_s = self._now()
        self.position = await self._read_position()
        after_s = self._now()
        self.lead_s = (after_s - before_s) / 2.0
        if not answer.ready:
            if order.kind == "dispense":
                if self.position < order.target - 1:
                    await self._ask("T", tolerate=True)
                    self.alarm = "overran its target"
                    raise self._alarmed(str(self.position), str(order.target))
                self._expect_end((before_s + after_s) / 2.0)
            return
        if abs(self.position - order.target) > 1:
            self.alarm = "stopped before its target"
            raise self._alarmed(str(self.position), str(order.target))
        if order.kind == "initialise":
            self.initialised = True
        self._bank()
        await self._read_valve()
        if order.kind == "refill" and not self.at_outlet:
            raise self._fault(RefusedError, "the valve did not turn back", self.settings.outlet, "")

    # ---- bookkeeping ----------------------------------------------------------------------------------------------

    def _bank(self) -> None:
        order, self.order = self.order, None
        if order is None:
            return
        if order.kind != "initialise":
            self._banked[order.kind] += abs(self.position - order.start)
        elif self.settings.outlet == "O":
            self._expelled += order.start

    def _expect_end(self, at_s: float) -> None:
        assert self.order is not None
        self.order.end_s = at_s + (self.position - self.order.target) / self._increments_s(self._pulses_s)

    def _increments_s(self, pulses_s: int) -> float:
        return pulses_s * self.settings.stroke / FINE_PULSES

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # ---- the wire -------------------------------------------------------------------------------------------------

    async def _read_position(self) -> int:
        """Where the plunger is. What lies off its way is asked twice: DT framing guards nothing."""
        position = self._parsed(parse_number, (await self._ask("?", tolerate=True)).data)
        order = self.order
        low, high = (0, self.settings.stroke) if order is None else sorted((self.position, order.target))
        if not low - 1 <= position <= high + 1:
            position = self._parsed(parse_number, (await self._ask("?", tolerate=True)).data)
        if position > self.settings.stroke:
            raise self._fault(ProtocolError, "the plunger is nowhere on its stroke", "?", position)
        return position

    async def _read_valve(self) -> None:
        self.at_outlet = (await self._ask("?6", tolerate=True)).data.strip().lower() == self.settings.outlet.lower()

    async def _check_speed(self, pulses_s: int) -> None:
        answer = (await self._ask("?2", tolerate=True)).data
        if self._parsed(parse_number, answer) != pulses_s:
            raise self._fault(ReadBackError, "the speed did not take", f"V{pulses_s}", answer)

    async def _act(self, program: str, *, tolerate: bool = False) -> None:
        """Run a program. In DT framing, where a resend would be executed, a lost answer is looked into first."""
        command = f"{program}R"
        if self.settings.framing == "OEM":
            await self._ask(command, tolerate=tolerate)
            return
        try:
            await self._ask(command, attempts=1, tolerate=tolerate)
        except (WireTimeoutError, ProtocolError):
            if (await self._ask("Q", tolerate=tolerate)).ready:
                await self._ask(command, tolerate=tolerate)

    async def _ask(self, command: str, *, attempts: int = 3, tolerate: bool = False) -> Answer:
        """One command and its answer. With ``tolerate`` the error of the status byte is not raised."""
        oem = self.settings.framing == "OEM"
        self._sequence = self._sequence % 7 + 1
        failures = 0
        while True:
            if oem:
                request = encode_oem(self._address, self._sequence, command, repeat=failures > 0)
            else:
                request = encode_dt(self._address, command)
            try:
                frame = await self._line.exchange(request, receive_oem if oem else receive_dt, device=self._name)
                answer = parse_oem(frame) if oem else parse_dt(frame)
                break
            except (WireTimeoutError, ProtocolError) as error:
                failures += 1
                if failures >= attempts:
                    hint = "" if error.answered else " (a pump locks to the first framing it sees)"
                    raise self._fault(type(error), error.message + hint, command, error.answered) from error
        if answer.error in NEED_INITIALISING and self.initialised:
            self.initialised = False
            self.alarm = ALARMS[answer.error]
        if answer.error and not tolerate:
            if self.alarm is not None:
                raise self._alarmed(f"error {answer.error}", command)
            raise self._refused(answer, command)
        return answer

    def _refused(self, answer: Answer, command: str) -> DriverError:
        words = ERRORS.get(answer.error, f"error {answer.error}")
        return self._fault(RefusedError, words, command, f"error {answer.error}")

    def _alarmed(self, answered: str, asked: str) -> DeviceAlarmError:
        alarm = self.alarm or ""
        return DeviceAlarmError(
            f"the syringe reports an alarm: {alarm}",
            alarm=alarm,
            device=self._name,
            port=self._line.name,
            asked=asked,
            answered=answered,
        )

    def _parsed(self, parse: Callable[[str], T], text: str) -> T:
        try:
            return parse(text)
        except ProtocolError as error:
            raise self._fault(ProtocolError, error.message, "", text) from None
