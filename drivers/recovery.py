"""One recovery ladder around every driver: working, issue, reconnecting, lost.

A verb that fails on the line is repeated once (*issue*). If that fails too, an outage begins (*reconnecting*): with
back-off and jitter the device's state is read, what was lost of it is set again, and the verb is repeated. A device
that stays silent longer than the outage may last is *lost*: its calls raise :class:`LostDeviceError` after one try
each, so that a safe sequence still reaches a device that has come back. There is one line of log where an outage
begins and one where it ends.

Nothing is replayed blindly. After an outage the device's state is read first; a setting is sent only where it differs,
and only while its caller still waits for it and nobody has asked for something else since.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from drivers.errors import (
    DriverError,
    LostDeviceError,
    NotConnectedError,
    PortError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    SupersededError,
    WireTimeoutError,
)

T = TypeVar("T")

LINE_ERRORS: Final = (PortError, WireTimeoutError, ProtocolError, NotConnectedError)
"""What says that the way to the device is disturbed. Everything else is the device's own answer."""
DOUBTFUL_ANSWERS: Final = (ReadBackError, RefusedError)
"""Answers that a byte gone wrong may have caused: worth one repetition, and believed the second time."""
_MOST_REPETITIONS: Final = 25
_DOUBTS: Final = 3

_log = logging.getLogger(__name__)


class Rung(StrEnum):
    """Where a device stands on the ladder."""

    WORKING = "working"
    ISSUE = "issue"
    RECONNECTING = "reconnecting"
    LOST = "lost"


class Quality(StrEnum):
    """How far a reading may be trusted."""

    GOOD = "good"
    HELD = "held"
    """The last reading before an outage that is still being dealt with."""
    BAD = "bad"
    """The last reading of a device that is lost."""


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What a device said last, when (the loop's clock), and how far that may be trusted."""

    value: T
    time_s: float
    quality: Quality

    def age_s(self, now_s: float) -> float:
        """Seconds since the device said so."""
        return now_s - self.time_s


@dataclass(frozen=True)
class RecoveryRules:
    """How an outage is dealt with.

    ``bound_s``: the longest outage survived. The waits between attempts grow from ``first_wait_s`` by a factor of two
    up to ``longest_wait_s``, each changed at random by up to the share ``jitter`` so that devices of one line do not
    all try at once. ``watchdog_s``: after so long without a word from the host the device stops by itself; None for one
    that does not.
    """

    bound_s: float = 30.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 4.0
    jitter: float = 0.25
    watchdog_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("bound_s", self.bound_s), ("first_wait_s", self.first_wait_s)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, not {value!r}")
        if not self.first_wait_s <= self.longest_wait_s < math.inf:
            raise ValueError(f"longest_wait_s must be at least {self.first_wait_s:g} s, not {self.longest_wait_s!r}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must be from 0 to below 1, not {self.jitter!r}")
        if self.watchdog_s is not None and not self.watchdog_s > 0:
            raise ValueError(f"watchdog_s must be positive, not {self.watchdog_s!r}")


class Ladder:
    """The ladder of one device.

    Args:
        device: the device's name in messages.
        rules: how an outage is dealt with.
        seed: of the jitter.
    """

    def __init__(self, device: str, rules: RecoveryRules, seed: int = 0) -> None:
        self._device = device
        self._rules = rules
        self._random = random.Random(f"{seed} {device}")
        self._lock = asyncio.Lock()
        self._rung = Rung.WORKING
        self._since_s = 0.0
        self._healed = 0
        self._outages = 0
        self._attempts = 0

    @property
    def rung(self) -> Rung:
        """Where the device stands."""
        return self._rung

    @property
    def outages(self) -> int:
        """How many outages have begun."""
        return self._outages

    @property
    def healed(self) -> int:
        """How many outages have ended well."""
        return self._healed

    @property
    def quality(self) -> Quality:
        """What the newest reading is worth."""
        if self._rung is Rung.WORKING:
            return Quality.GOOD
        return Quality.BAD if self._rung is Rung.LOST else Quality.HELD

    async def run(
        self,
        verb: str,
        act: Callable[[], Awaitable[T]],
        rejoin: Callable[[], Awaitable[None]],
        stale: Callable[[], bool],
    ) -> T:
        """Do ``act``; on a disturbed line climb the ladder until it is done.

        ``rejoin`` reads the device's state and puts right what an outage changed in it. ``stale`` tells whether
        somebody has asked for something else meanwhile. Raises LostDeviceError, SupersededError, and whatever the
        device itself answers.
        """
        if self._rung in (Rung.WORKING, Rung.ISSUE) and not self._lock.locked():
            healed = self._healed
            try:
                return await act()
            except (*LINE_ERRORS, *DOUBTFUL_ANSWERS) as error:
                failure: DriverError = error
        else:
            healed, failure = -1, NotConnectedError("the device has not come back yet", device=self._device)
        async with self._lock:
            if healed != self._healed and self._rung is Rung.WORKING:
                # Somebody else brought it back while this caller waited.
                self._check_wanted(verb, stale)
                try:
                    return await act()
                except (*LINE_ERRORS, *DOUBTFUL_ANSWERS) as error:
                    failure = error
            if self._rung is Rung.LOST:
                return await self._once(verb, act, rejoin, stale, failure)
            return await self._climb(verb, act, rejoin, stale, failure)

    async def mend(self, why: str, act: Callable[[], Awaitable[None]], healed: int) -> None:
        """Do ``act`` as an outage whose cause is known; failures of the line are tried again.

        ``healed``: :attr:`healed` before the cause was seen; does nothing when somebody has mended it since.
        """

        async def nothing() -> None:
            return None

        async with self._lock:
            if healed == self._healed:
                self._begin(why)
                await self._reconnect(why, act, nothing, _never, None)

    async def _climb(
        self,
        verb: str,
        act: Callable[[], Awaitable[T]],
        rejoin: Callable[[], Awaitable[None]],
        stale: Callable[[], bool],
        failure: DriverError,
    ) -> T:
        if self._rung is Rung.WORKING:
            self._since_s = asyncio.get_running_loop().time()
        if self._rung in (Rung.WORKING, Rung.ISSUE) and not isinstance(failure, (PortError, NotConnectedError)):
            self._rung = Rung.ISSUE
            await asyncio.sleep(self._jittered(self._rules.first_wait_s))
            self._check_wanted(verb, stale)
            try:
                result = await act()
            except LINE_ERRORS as error:
                failure = error
            except DriverError:
                self._rung = Rung.WORKING
                raise
            else:
                self._rung = Rung.WORKING
                return result
        self._begin(str(failure))
        return await self._reconnect(verb, act, rejoin, stale, failure)

    async def _reconnect(
        self,
        verb: str,
        act: Callable[[], Awaitable[T]],
        rejoin: Callable[[], Awaitable[None]],
        stale: Callable[[], bool],
        failure: DriverError | None,
    ) -> T:
        loop = asyncio.get_running_loop()
        wait_s = self._rules.first_wait_s
        heard_s = self._since_s
        doubtful = 0
        for attempt in range(_MOST_REPETITIONS):
            left_s = heard_s + self._rules.bound_s - loop.time()
            if attempt and left_s <= 0.0:
                break
            if failure is not None:
                await asyncio.sleep(min(self._jittered(wait_s), max(left_s, 0.0)))
                wait_s = min(2.0 * wait_s, self._rules.longest_wait_s)
            self._attempts += 1
            try:
                await rejoin()
                # It answers: what follows is a bad line, no longer a dead one.
                heard_s = loop.time()
                self._check_wanted(verb, stale, healed=True)
                result = await act()
            except LINE_ERRORS as error:
                failure = error
            except DriverError as error:
                doubtful += 1
                if not isinstance(error, DOUBTFUL_ANSWERS) or doubtful > _DOUBTS:
                    self._heal()
                    raise
                failure = error
            else:
                self._heal()
                return result
        assert failure is not None
        raise self._lose(verb, failure) from failure

    async def _once(
        self,
        verb: str,
        act: Callable[[], Awaitable[T]],
        rejoin: Callable[[], Awaitable[None]],
        stale: Callable[[], bool],
        failure: DriverError,
    ) -> T:
        """One try at a device that is lost."""
        try:
            await rejoin()
            self._check_wanted(verb, stale, healed=True)
            result = await act()
        except (*LINE_ERRORS, *DOUBTFUL_ANSWERS) as error:
            raise self._lost_error(verb, error) from error
        except DriverError:
            self._heal()
            raise
        self._heal()
        return result

    def _check_wanted(self, verb: str, stale: Callable[[], bool], *, healed: bool = False) -> None:
        if not stale():
            return
        if healed:
            self._heal()
        elif self._rung is Rung.ISSUE:
            self._rung = Rung.WORKING
        raise SupersededError("overtaken by a newer order while the device was away", device=self._device, asked=verb)

    def _begin(self, why: str) -> None:
        if self._rung is Rung.RECONNECTING:
            return  # an outage that a cancelled caller left behind goes on
        if self._rung is not Rung.ISSUE:
            self._since_s = asyncio.get_running_loop().time()
        self._rung = Rung.RECONNECTING
        self._outages += 1
        self._attempts = 0
        _log.warning("%s: outage: %s; trying again for %g s", self._device, why, self._rules.bound_s)

    def _heal(self) -> None:
        if self._rung is not Rung.WORKING:
            away_s = asyncio.get_running_loop().time() - self._since_s
            _log.warning("%s: back after %.1f s and %d attempts", self._device, away_s, self._attempts)
        self._rung = Rung.WORKING
        self._healed += 1

    def _lose(self, verb: str, failure: DriverError) -> LostDeviceError:
        self._rung = Rung.LOST
        error = self._lost_error(verb, failure)
        _log.error("%s: lost after %.1f s and %d attempts", self._device, error.outage_s, self._attempts)
        return error

    def _lost_error(self, verb: str, failure: DriverError) -> LostDeviceError:
        outage_s = asyncio.get_running_loop().time() - self._since_s
        return LostDeviceError(
            f"lost for {outage_s:.1f} s: {failure.message}",
            outage_s=outage_s,
            device=self._device,
            port=failure.port,
            asked=verb,
            answered=failure.answered,
        )

    def _jittered(self, wait_s: float) -> float:
        return wait_s * (1.0 + self._rules.jitter * self._random.uniform(-1.0, 1.0))


def _never() -> bool:
    return False
