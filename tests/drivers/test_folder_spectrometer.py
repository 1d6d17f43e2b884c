"""The folder spectrometer against an instrument that drops files piece by piece, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from drivers import NotConnectedError, OutOfRangeError, PortError, ProtocolError, RefusedError, WireTimeoutError
from drivers.folder_spectrometer import FolderSpectrometer
from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_folder import Dialect, FolderTwin
from tests.contract.plants import LampAndPeak

WAVELENGTHS_NM = 350.0 + 0.4 * np.arange(64, dtype=np.float64)


@dataclass
class Bench:
    spectrometer: FolderSpectrometer
    twin: FolderTwin
    plant: LampAndPeak
    folder: Path


def play(
    folder: Path,
    scenario: Callable[[Bench], Awaitable[None]],
    *,
    pattern: str = "*.csv",
    dialect: Dialect = "csv",
    overwrite: bool = False,
    measuring: bool = True,
    timeout_s: float = 5.0,
) -> None:
    async def main() -> None:
        plant = LampAndPeak(pixels=64)
        twin = FolderTwin(
            plant, folder, WAVELENGTHS_NM, integration_s=0.5, period_s=2.0, dialect=dialect, overwrite=overwrite
        )
        spectrometer = FolderSpectrometer(
            folder, pattern, integration_s=0.5, timeout_s=timeout_s, lamp="external", name="export"
        )
        await spectrometer.connect()
        if measuring:
            twin.start(asyncio.get_running_loop())
        await scenario(Bench(spectrometer, twin, plant, folder))
        twin.stop()
        await spectrometer.close()

    run_virtual(main())


def write(folder: Path, name: str, level: float, points: int = 64) -> None:
    rows = [f"{x:.3f},{level:g}" for x in WAVELENGTHS_NM[:points]]
    (folder / name).write_text("\n".join(rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("dialect", "pattern"),
    [("csv", "*.csv"), ("semicolon", "*.csv"), ("tab", "*.txt"), ("jcamp", "*.jdx"), ("jcamp-asdf", "*.jdx")],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_each_new_file_is_read_once_it_is_whole(
    tmp_path: Path, dialect: Dialect, pattern: str, overwrite: bool
) -> None:
    async def scenario(b: Bench) -> None:
        wavelengths = await b.spectrometer.wavelengths_nm()
        assert wavelengths == pytest.approx(WAVELENGTHS_NM, abs=1e-3)
        for level in (1000.0, 2000.0, 3000.0):
            b.plant.dark_counts = level
            counts = await b.spectrometer.acquire()
            assert counts.shape == (64,)
            assert set(counts.tolist()) == {level}

    play(tmp_path, scenario, pattern=pattern, dialect=dialect, overwrite=overwrite)


def test_files_from_before_and_half_written_ones_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "old.csv", 1.0)

    async def scenario(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, write, tmp_path, "first.csv", 0.0)
        await b.spectrometer.acquire()
        write(tmp_path, "under_way.csv", 2.0, points=20)
        began_s = loop.time()
        loop.call_later(1.0, write, tmp_path, "under_way.csv", 2.0)
        loop.call_later(4.0, write, tmp_path, "new.csv", 3.0)
        counts = await b.spectrometer.acquire()
        assert counts.tolist() == [3.0] * 64
        assert loop.time() - began_s == pytest.approx(4.6, abs=0.11)

    play(tmp_path, scenario, measuring=False)


def test_a_file_that_appeared_between_two_calls_is_an_old_one(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, write, tmp_path, "a.csv", 1.0)
        assert (await b.spectrometer.acquire())[0] == 1.0
        write(tmp_path, "b.csv", 2.0)
        loop.call_later(1.0, write, tmp_path, "c.csv", 3.0)
        assert (await b.spectrometer.acquire())[0] == 3.0

    play(tmp_path, scenario, measuring=False)


def test_no_file_is_a_timeout_that_names_the_folder(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(WireTimeoutError, match=r"export on .*no new file within 5\.5 s \(asked \*\.csv\)"):
            await b.spectrometer.acquire()

    play(tmp_path, scenario, measuring=False)


def test_a_file_that_stays_damaged_is_named_with_its_line(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        rows = [f"{x:.3f},1" for x in WAVELENGTHS_NM]
        rows[40] = "36?.000,1"
        asyncio.get_running_loop().call_later(1.0, (tmp_path / "bad.csv").write_text, "\n".join(rows))
        with pytest.raises(ProtocolError, match=r"bad\.csv: line 41 is neither"):
            await b.spectrometer.acquire()

    play(tmp_path, scenario, measuring=False)


def test_a_writer_that_pauses_is_waited_for(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, write, tmp_path, "a.csv", 1.0)
        await b.spectrometer.acquire()
        loop.call_later(1.0, write, tmp_path, "b.csv", 2.0, 30)
        loop.call_later(3.5, write, tmp_path, "b.csv", 2.0)
        counts = await b.spectrometer.acquire()
        assert counts.tolist() == [2.0] * 64

    play(tmp_path, scenario, measuring=False)


def test_other_wavelengths_than_the_first_files_are_refused(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, write, tmp_path, "a.csv", 1.0)
        await b.spectrometer.acquire()
        loop.call_later(0.2, write, tmp_path, "b.csv", 1.0, 63)
        with pytest.raises(ProtocolError, match="other wavelengths than the first one"):
            await b.spectrometer.acquire()

    play(tmp_path, scenario, measuring=False)


def test_a_folder_that_goes_away_is_a_port_error(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()

    async def scenario(b: Bench) -> None:
        asyncio.get_running_loop().call_later(1.0, folder.rmdir)
        with pytest.raises(PortError, match="no such folder"):
            await b.spectrometer.acquire()

    play(folder, scenario, measuring=False)


def test_what_the_instrument_keeps_to_itself_is_refused_or_declared(tmp_path: Path) -> None:
    async def main() -> None:
        strict = FolderSpectrometer(tmp_path, integration_s=0.5)
        assert await strict.set_integration(0.5) == 0.5
        with pytest.raises(OutOfRangeError, match=r"in the instrument's software, to 0\.5 s"):
            await strict.set_integration(0.25)
        with pytest.raises(RefusedError, match="lamp is driven by the instrument"):
            await strict.set_lamp(False)
        lenient = FolderSpectrometer(tmp_path, integration_s=0.5, other_integration="keep", lamp="external")
        assert await lenient.set_integration(0.25) == 0.5
        await lenient.set_lamp(False)
        with pytest.raises(NotConnectedError):
            await lenient.acquire()

    run_virtual(main())


@pytest.mark.parametrize("changes", [{"pattern": "../*.csv"}, {"integration_s": 0.0}, {"stable_s": -1.0}])
def test_what_makes_no_sense_is_refused_at_once(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        FolderSpectrometer(tmp_path, **{"integration_s": 0.5, **changes})  # type: ignore[arg-type]
