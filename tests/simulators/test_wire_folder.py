"""The file-dropping twin: files grow in pieces, at the right times, and stop when told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_folder import FolderTwin, squeeze
from tests.contract.plants import LampAndPeak

WAVELENGTHS_NM = 350.0 + 0.4 * np.arange(64, dtype=np.float64)


def test_files_grow_in_pieces_after_each_exposure(tmp_path: Path) -> None:
    async def main() -> None:
        twin = FolderTwin(LampAndPeak(pixels=64), tmp_path, WAVELENGTHS_NM, writing_s=0.3, pieces=3)
        twin.start(asyncio.get_running_loop())
        sizes: list[int] = []
        for _ in range(3):
            await asyncio.sleep(0.55 if not sizes else 0.1)
            sizes.append((tmp_path / "spectrum_00000.csv").stat().st_size)
        assert sizes[0] < sizes[1] < sizes[2]
        await asyncio.sleep(2.0)
        twin.stop()
        await asyncio.sleep(10.0)
        assert twin.exposures == [(0.0, "spectrum_00000.csv"), (2.0, "spectrum_00001.csv")]

    run_virtual(main())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spectrum_00000.csv", "spectrum_00001.csv"]


def test_one_file_can_be_replaced_again_and_again(tmp_path: Path) -> None:
    async def main() -> None:
        plant = LampAndPeak(pixels=64)
        twin = FolderTwin(plant, tmp_path, WAVELENGTHS_NM, overwrite=True, dialect="tab")
        twin.start(asyncio.get_running_loop())
        await asyncio.sleep(3.0)
        twin.stop()
        text = (tmp_path / "spectrum_00000.txt").read_text(encoding="utf-8")
        assert text.count("Begin Spectral Data") == 1
        assert plant.exposures == [(0.0, 0.5, True), (2.0, 0.5, True)]

    run_virtual(main())


def test_the_standards_example_in_differences() -> None:
    """McDonald and Wilks 1988: 1 2 3 3 2 1 0 -1 -2 -3 is 1JT%jX; here the first ordinate is squeezed too."""
    assert squeeze([1, 2, 3, 3, 2, 1, 0, -1, -2, -3]) == "AJT%jX"


def test_an_exposure_that_does_not_fit_its_period_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        FolderTwin(LampAndPeak(pixels=64), tmp_path, WAVELENGTHS_NM, integration_s=2.0)
