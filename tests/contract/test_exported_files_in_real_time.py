"""Exported files in a true folder, by the real clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from drivers.folder_spectrometer import FolderSpectrometer
from orchestrator.clock.virtual_time import run_real
from simulators.wire_folder import FolderTwin
from tests.contract.plants import LampAndPeak


def test_exported_files_are_read_in_real_time(tmp_path: Path) -> None:
    async def main() -> None:
        wavelengths = 350.0 + 0.4 * np.arange(64, dtype=np.float64)
        twin = FolderTwin(
            LampAndPeak(pixels=64), tmp_path, wavelengths, integration_s=0.05, period_s=0.3, writing_s=0.05
        )
        twin.start(asyncio.get_running_loop())
        spectrometer = FolderSpectrometer(tmp_path, integration_s=0.05, stable_s=0.06, poll_s=0.02, timeout_s=3.0)
        await spectrometer.connect()
        assert (await spectrometer.acquire()).tolist() == [1000.0] * 64
        twin.stop()
        await spectrometer.close()

    run_real(main())
