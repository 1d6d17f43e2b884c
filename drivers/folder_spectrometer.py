"""A spectrometer whose own software exports files into a folder."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from drivers.errors import (
    DriverError,
    NotConnectedError,
    OutOfRangeError,
    PortError,
    ProtocolError,
    RefusedError,
    WireTimeoutError,
)
from drivers.owner_thread import ended_in_thread
from drivers.readings import Look
from drivers.spectrum_files import MAX_BYTES, Spectrum, parse_spectrum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

_DISK_TIMEOUT_S: Final = 10.0
"""How long one look at the folder may take; a lost network share blocks for minutes."""
_SAME_AXIS_NM: Final = 1e-3


@dataclass(frozen=True)
class _Version:
    """One state of a file. Its times only say whether it changed; nobody compares them with a clock."""

    inode: int
    size: int
    modified_ns: int


class FolderSpectrometer:
    """Waits for the instrument's next file.

    ``acquire`` returns the first spectrum whose file appeared after the call: a file that was there already, or was
    being written, was exposed earlier and is passed over. A file counts as complete once its size and time have not
    changed for ``stable_s`` and it parses (JCAMP-DX says where it ends; delimited text must have as many points as the
    first one). A file that is overwritten counts as new. An instrument that measures all the time may have begun the
    exposure before the call: after a change in the cell, discard one.

    The instrument keeps its exposure and its lamp to itself. What ``set_integration`` and ``set_lamp`` do about it is
    declared here: they refuse, or they leave the instrument as it is and say so.

    Args:
        folder: where the files appear.
        pattern: which files, as in a shell: "*.csv", "spectrum_*.jdx".
        integration_s: the exposure that is set in the instrument's software.
        other_integration: "refuse" raises OutOfRangeError for any other exposure; "keep" returns ``integration_s``, the
            exposure in effect.
        lamp: "refuse" raises RefusedError; "external" takes the verb without effect, for an instrument that subtracts
            its dark spectrum and drives its lamp itself.
        full_scale_counts: where the files' intensities saturate.
        timeout_s: how long the next file may take beyond ``integration_s``.
        stable_s: how long a file must rest before it is read. Nothing tells how long the first delimited file should
            be, so make it longer than the instrument's software ever pauses while it writes.
        poll_s: how often the folder is looked at.
        name: the device's name in messages.
    """

    def __init__(
        self,
        folder: Path | str,
        pattern: str = "*.csv",
        *,
        integration_s: float,
        other_integration: Literal["refuse", "keep"] = "refuse",
        lamp: Literal["refuse", "external"] = "refuse",
        full_scale_counts: float = 65535.0,
        timeout_s: float = 30.0,
        stable_s: float = 0.5,
        poll_s: float = 0.1,
        name: str = "spectrometer",
    ) -> None:
        if not pattern or "/" in pattern or "\\" in pattern:
            raise ValueError(f"{name}: a pattern is a file name with * and ?, not {pattern!r}")
        for what, value in (
            ("integration time in s", integration_s),
            ("full scale in counts", full_scale_counts),
            ("time-out in s", timeout_s),
            ("resting time in s", stable_s),
            ("polling interval in s", poll_s),
        ):
            if not (math.isfinite(value) and value > 0):
                raise OutOfRangeError(what, low=0, high=math.inf, device=name, asked=value)
        self._folder = Path(folder)
        self._pattern = pattern
        self._integration_s = integration_s
        self._other_integration = other_integration
        self._lamp = lamp
        self._full_scale_counts = full_scale_counts
        self._timeout_s = timeout_s
        self._stable_s = stable_s
        self._poll_s = poll_s
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._done: dict[str, _Version] = {}
        self._axis: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def integration_s(self) -> float:
        """The exposure in effect."""
        return self._integration_s

    @property
    def full_scale_counts(self) -> float:
        """Where the intensities saturate."""
        return self._full_scale_counts

    async def connect(self) -> str:
        """Look into the folder; every file in it is an old one. Returns a description. Raises PortError."""
        await self.close()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            self._done = await self._call(self._look)
        except BaseException:
            await self.close()
            raise
        return f"files {self._pattern} in {self._folder}, {self._integration_s:g} s"

    async def look(self) -> Look:
        """Which files there are; changes nothing, and before ``connect`` stops looking again."""
        watching = self._executor is not None
        try:
            if not watching:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
            files = await self._call(self._look)
        finally:
            if not watching:
                await self.close()
        what = f"files {self._pattern} in {self._folder}, {self._integration_s:g} s"
        return Look(what, f"{len(files)} files", max(files, key=lambda name: files[name].modified_ns, default="none"))

    async def wavelengths_nm(self) -> NDArray[np.float64]:
        """The wavelengths of the first new file, shape (points,); waits for it."""
        if self._axis is None:
            await self._next_spectrum()
        assert self._axis is not None
        return self._axis

    async def set_integration(self, duration_s: float) -> float:
        """Returns the exposure in effect; raises OutOfRangeError for another one unless declared otherwise."""
        if self._other_integration == "refuse" and not math.isclose(duration_s, self._integration_s, rel_tol=1e-6):
            raise OutOfRangeError(
                f"the exposure is set in the instrument's software, to {self._integration_s:g} s",
                low=self._integration_s,
                high=self._integration_s,
                device=self._name,
                port=str(self._folder),
                asked=duration_s,
            )
        return self._integration_s

    async def set_lamp(self, on: bool) -> None:
        """Without effect where the lamp is declared external; raises RefusedError otherwise."""
        if self._lamp == "refuse":
            raise RefusedError(
                "the lamp is driven by the instrument's software",
                device=self._name,
                port=str(self._folder),
                asked=f"lamp {'on' if on else 'off'}",
            )

    async def acquire(self) -> NDArray[np.float64]:
        """Intensities of the next file that begins after this call, shape (points,).

        Raises WireTimeoutError when none comes, ProtocolError when one comes that is no spectrum or has other
        wavelengths than the first, PortError when the folder is gone.
        """
        return (await self._next_spectrum()).intensities

    async def close(self) -> None:
        """Stop looking. The wavelengths are forgotten."""
        executor, self._executor = self._executor, None
        self._axis = None
        self._done = {}
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    async def _next_spectrum(self) -> Spectrum:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._integration_s + self._timeout_s
        present = await self._call(self._look)
        # What changed since the last look was exposed before this call: it is awaited, but not returned.
        stale = {name for name, version in present.items() if self._done.get(name) != version}
        resting = {name: (present[name], loop.time()) for name in stale}
        self._done = {name: version for name, version in self._done.items() if name in present}
        failure: ProtocolError | None = None
        while loop.time() < deadline_s:
            await asyncio.sleep(self._poll_s)
            present = await self._call(self._look)
            now_s = loop.time()
            resting = {name: seen for name, seen in resting.items() if name in present}
            for name in sorted(present):
                version = present[name]
                if self._done.get(name) == version:
                    continue
                if name not in resting or resting[name][0] != version:
                    resting[name] = (version, now_s)
                    continue
                if now_s - resting[name][1] < self._stable_s - 1e-9:
                    continue
                self._done[name] = version
                try:
                    spectrum = self._checked(await self._call(partial(self._read, name)), name)
                except ProtocolError as error:
                    # It may not be whole yet; if it never changes again, this is what was wrong with it.
                    failure = failure if name in stale else error
                    continue
                if name not in stale:
                    self._axis = spectrum.wavelengths_nm if self._axis is None else self._axis
                    return spectrum
                stale.discard(name)
        if failure is not None:
            raise failure
        raise WireTimeoutError(
            f"no new file within {self._integration_s + self._timeout_s:g} s",
            device=self._name,
            port=str(self._folder),
            asked=self._pattern,
        )

    def _checked(self, spectrum: Spectrum, name: str) -> Spectrum:
        import numpy as np

        if self._axis is not None and (
            spectrum.wavelengths_nm.shape != self._axis.shape
            or not np.allclose(spectrum.wavelengths_nm, self._axis, rtol=0.0, atol=_SAME_AXIS_NM)
        ):
            raise ProtocolError(
                "the file has other wavelengths than the first one",
                device=self._name,
                port=str(self._folder / name),
                asked=f"{self._axis.size} points",
                answered=f"{spectrum.wavelengths_nm.size} points",
            )
        return spectrum

    def _look(self) -> dict[str, _Version]:
        """The folder's files now. A file that vanishes while it is looked at was not there."""
        found: dict[str, _Version] = {}
        if not self._folder.is_dir():
            raise PortError("there is no such folder", device=self._name, port=str(self._folder))
        for path in self._folder.glob(self._pattern):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                found[path.name] = _Version(status.st_ino, status.st_size, status.st_mtime_ns)
        return found

    def _read(self, name: str) -> Spectrum:
        path = self._folder / name
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        try:
            return parse_spectrum(data)
        except ProtocolError as error:
            raise ProtocolError(
                error.message, device=self._name, port=str(path), asked=error.asked, answered=error.answered
            ) from error

    async def _call(self, action: Callable[[], T]) -> T:
        """Run ``action`` in the owner thread; a disk that does not answer is left alone."""
        if self._executor is None:
            raise NotConnectedError("the folder is not being watched", device=self._name, port=str(self._folder))
        call = await ended_in_thread(self._executor, action, _DISK_TIMEOUT_S)
        if call is None:
            await self.close()
            raise WireTimeoutError(
                f"the folder did not answer within {_DISK_TIMEOUT_S:g} s", device=self._name, port=str(self._folder)
            )
        try:
            return call.result()
        except DriverError:
            raise
        except OSError as error:
            raise PortError(f"{error}", device=self._name, port=str(self._folder)) from error
