"""A synthetic run, written through the real journal, for tests of what is computed from one."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.journal.journal import Journal

TARGET_EV = 2.25
WAVELENGTHS_NM = [340.0 + 1.0 * pixel for pixel in range(700)]
DARK = struct.pack(f"<{len(WAVELENGTHS_NM)}f", *([1500.0] * len(WAVELENGTHS_NM)))
PUMPS = ("cs", "pb", "halide", "solvent")

HEADER: Mapping[str, Any] = {
    "campaign_name": "green at 2.25 eV",
    "campaign_text": "# <b>a campaign</b> & its comment\nkind: campaign\nname: green at 2.25 eV\nrig: bench.yaml\n",
    "rig_text": "kind: rig\nname: bench\n",
    "campaign_file": "quickstart.yaml",
    "rig_file": "bench.yaml",
    "config_sha256": "ab" * 32,
    "seed": 7,
    "strategy": "ensemble",
    "mode": "twin",
    "lumiflow_version": "0.1.0",
    "target_ev": TARGET_EV,
    "tolerance_ev": 0.005,
    "inputs": [
        {"name": "iodide_fraction", "unit": "", "low": 0.0, "high": 0.9, "scale": "linear"},
        {"name": "cs_to_pb", "unit": "", "low": 0.4, "high": 2.5, "scale": "log"},
        {"name": "residence_time", "unit": "s", "low": 20.0, "high": 300.0, "scale": "log"},
        {"name": "temperature", "unit": "°C", "low": 60.0, "high": 160.0, "scale": "linear"},
    ],
    "stocks": {
        "cs": {"stock": "cs_oleate", "syringe_ul": 10_000.0},
        "pb": {"stock": "lead_bromide", "syringe_ul": 10_000.0},
        "halide": {"stock": "zinc_iodide", "syringe_ul": 10_000.0},
        "solvent": {"stock": "octadecene", "syringe_ul": 50_000.0},
    },
    "budget": {"experiments": 25, "reactor_time_s": 43_200.0, "reagent_ul": None},
}


def spectrum(peak_ev: float, fwhm_ev: float, height: float, noise: random.Random) -> bytes:
    """Counts of one reading: dark level, the lamp's rest at 405 nm, a line, noise."""
    counts = []
    for wavelength in WAVELENGTHS_NM:
        energy = 1239.842 / wavelength
        line = height * math.exp(-4 * math.log(2) * ((energy - peak_ev) / fwhm_ev) ** 2)
        lamp = 9000.0 * math.exp(-4 * math.log(2) * ((wavelength - 405.0) / 12.0) ** 2)
        counts.append(1500.0 + line + lamp + noise.gauss(0.0, 25.0))
    return struct.pack(f"<{len(counts)}f", *counts)


class Run:
    """Writes one run, experiment by experiment."""

    def __init__(self, journal: Journal, *, header: Mapping[str, Any] = HEADER) -> None:
        self.journal = journal
        self.header = header
        self.noise = random.Random(11)
        self.used = dict.fromkeys(PUMPS, 0.0)
        self.reads = 0
        self.temperature_c = 22.0

    async def begin(self) -> None:
        await self.journal.append("run_started", dict(self.header))
        await self.journal.note_host("versions", {"python": "3.11.9", "torch": "2.13.0"})
        await self.journal.note_host("journal", "/data/runs/<green>.journal")
        await self.journal.append("connected", {"devices": {"cs": "NE1000V3.923", "spectrometer": "USB2000+ FLMS1"}})
        await self.pass_time(300.0, 22.0)
        self.use({"solvent": 900.0})
        dark = self.journal.put_blob(DARK)
        blank = self.journal.put_blob(spectrum(3.9, 0.01, 0.0, self.noise))
        wavelengths = self.journal.put_blob(struct.pack(f"<{len(WAVELENGTHS_NM)}d", *WAVELENGTHS_NM))
        data = {"integration_s": 0.1, "dark": dark, "blank": blank, "wavelengths": wavelengths}
        await self.journal.append("blank_taken", {**data, "reagent_ul": dict(self.used)})

    async def experiment(
        self, n: int, peak_ev: float | None, *, of: int | None = None, recipe: Mapping[str, float] | None = None
    ) -> None:
        x = self.noise.random()
        chosen = recipe or {
            "iodide_fraction": 0.1 + 0.5 * x,
            "cs_to_pb": 0.5 + 1.5 * self.noise.random(),
            "residence_time": 30.0 + 200.0 * self.noise.random(),
            "temperature": 70.0 + 80.0 * self.noise.random(),
        }
        predicted = {}
        if n > 6 and of is None:
            centre = (peak_ev or 2.3) + self.noise.gauss(0.0, 0.01)
            predicted = {
                "peak_ev": {"mean": centre, "low": centre - 0.02, "high": centre + 0.02},
                "fwhm_ev": {"mean": 0.1, "low": 0.09, "high": 0.115},
                "quantum_yield": {"mean": 0.6, "low": 0.5, "high": 0.7},
            }
        await self.journal.append(
            "proposed",
            {
                "n": n,
                "kind": "explore" if of is None else "replicate",
                "of": of,
                "recipe": dict(chosen),
                "phase": "replicate" if of else "model" if predicted else "initial",
                "predicted": predicted,
                "probability_feasible": 0.93 if predicted else None,
                "acquisition": "log expected improvement" if predicted else "",
                "acquisition_value": -3.2 if predicted else None,
                "compared": 4096 if predicted else 0,
                "reason": "the model expects 2.25 eV <here>" if predicted else "initial design",
                "strategy": "ensemble",
            },
        )
        flows = {"cs": 30.0, "pb": 40.0, "halide": 20.0, "solvent": 60.0}
        await self.journal.append(
            "dosing",
            {
                "n": n,
                "attempt": 1,
                "flows_ul_min": flows,
                "temperature_c": chosen["temperature"],
                "total_flow_ul_min": 150.0,
                "residence_time_s": chosen["residence_time"],
                "expected_ul": {pump: flow * 12 for pump, flow in flows.items()},
            },
        )
        await self.pass_time(700.0, chosen["temperature"])
        settled = {"n": n, "elapsed_s": 640.0, "looks_ev": [peak_ev] * 3, "outcome": "steady"}
        await self.journal.append("settled", settled)
        fwhm = 0.085 + 0.03 * x
        height = 24_000.0 if peak_ev else 0.0
        spectra = [
            self.journal.put_blob(spectrum((peak_ev or 2.3) + self.noise.gauss(0, 4e-4), fwhm, height, self.noise))
            for _ in range(2)
        ]
        dark = self.journal.put_blob(DARK)
        measured = {"n": n, "integration_s": 0.12, "spectra": spectra, "dark": dark, "temperature_c": 120.0}
        await self.journal.append("measured", {**measured, "pressure_kpa": 61.0})
        good = peak_ev is not None
        await self.journal.append(
            "analysed",
            {
                "n": n,
                "peak_ev": peak_ev,
                "peak_sd_ev": 0.0007 if good else None,
                "fwhm_ev": fwhm if good else None,
                "fwhm_sd_ev": 0.001 if good else None,
                "quantum_yield": 0.5 + 0.3 * x if good else None,
                "quantum_yield_sd": 0.02 if good else None,
                "flags": [] if good else ["dark"],
                "accepted": good,
                "reason": "" if good else "dark",
            },
        )
        used = {pump: flow * 12.0 for pump, flow in flows.items()}
        self.use(used)
        counted = {"counted_ul": dict(self.used), "reactor_s": asyncio.get_running_loop().time()}
        await self.journal.append("told", {"n": n, "failed": not good, "reagent_ul": used, **counted})

    async def finish(self, recipe: Mapping[str, float], peak_ev: float) -> None:
        await self.journal.append("stopping", {"stop_reason": "target_reproduced", "detail": "three agree"})
        await self.journal.append("safe_begin", {"reason": "target_reproduced"})
        await self.journal.append("safe_step", {"step": "heaters_off", "ok": True, "detail": "heater"})
        await self.pass_time(200.0, 40.0)
        await self.journal.append("safe_step", {"step": "pumps_stop", "ok": True, "detail": "cs, pb"})
        await self.journal.append("safe_done", {"ok": True})
        measured = {"peak_ev": peak_ev, "peak_sd_ev": 0.0005, "fwhm_ev": 0.09, "quantum_yield": 0.71, "n_replicates": 3}
        await self.journal.append(
            "recommended",
            {
                "recipe": dict(recipe),
                "basis": "reproduced",
                "predicted": {},
                "measured": measured,
                "error_ev": peak_ev - TARGET_EV,
                "reason": "it was reproduced twice",
            },
        )
        reactor_s = asyncio.get_running_loop().time()
        ended = {"stop_reason": "target_reproduced", "detail": "three agree", "experiments": 12}
        await self.journal.append("ended", {**ended, "reactor_s": reactor_s, "reagent_ul": dict(self.used)})

    async def pass_time(self, duration_s: float, towards_c: float) -> None:
        """Time in which the heater follows and the watcher reads it and the pressure."""
        for _ in range(int(duration_s / 20.0)):
            await asyncio.sleep(20.0)
            self.temperature_c += 0.12 * (towards_c - self.temperature_c)
            t_s = asyncio.get_running_loop().time()
            reading = [self.temperature_c + self.noise.gauss(0, 0.05), towards_c, 0.4, []]
            self.journal.note_call({"d": "heater", "i": self.reads, "v": "read", "a": {}, "t": t_s, "r": reading})
            pressure = 60.0 + self.noise.gauss(0, 0.4)
            self.journal.note_call({"d": "pressure", "i": self.reads, "v": "read", "a": {}, "t": t_s, "r": pressure})
            self.reads += 1

    def use(self, volumes: Mapping[str, float]) -> None:
        for pump, volume in volumes.items():
            self.used[pump] += volume


FIRST_PEAKS = (2.41, 2.02, None, 2.33, 1.94, 2.18, 2.291, 2.262, 2.2555, 2.2517)
BEST_RECIPE = {"iodide_fraction": 0.31, "cs_to_pb": 1.1, "residence_time": 95.0, "temperature": 118.0}


def write_run(path: Path, *, experiments: int = 12, end: bool = True, header: Mapping[str, Any] = HEADER) -> None:
    """A run of up to twelve experiments: six to begin with, four by the model, two replicates of the tenth."""

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            run = Run(journal, header=header)
            await run.begin()
            for n, peak in enumerate(FIRST_PEAKS[:experiments], start=1):
                await run.experiment(n, peak, recipe=BEST_RECIPE if n == 10 else None)
            for n in range(11, experiments + 1):
                await run.experiment(n, 2.2505 + 0.001 * (n - 11), of=10, recipe=BEST_RECIPE)
            if end:
                await run.finish(BEST_RECIPE, 2.2512)

    run_virtual(main())
