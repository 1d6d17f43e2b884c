"""The shipped bench's twins served on TCP by a process of its own, which says what is true of them.

    python -m tests.crash.served_rig RIG.yaml WRITTEN.yaml

It writes the rig file that names its ports, then one line of JSON for every change: ``[t_s, what, value]`` with the
machine's monotonic clock, ``heater`` and its output, ``pump`` by name and its flow in µL/min, looked at every 10 ms. A
line on its standard input sets the heater to so many °C, by nobody's order; ``left`` is answered with what is left in
each syringe in µL, ``refill`` with the same after all were filled. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.clock.virtual_time import blocking_clock, run_real
from orchestrator.config import load_rig
from orchestrator.twins.serving import ServedRig as TwinsServed
from orchestrator.twins.serving import rewritten_rig, serve_rig
from orchestrator.twins.stage import Setting
from tests.orchestrator.rehearsal import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
PUMPS = ("cs", "pb", "halide", "solvent")
LOOK_S = 0.01
NO_FLUSH = """safe_sequence:
  - step: heaters_off
  - step: pumps_stop
"""
ACCEPTED = """unattended:
  heater_without_watchdog: accepted
"""


def rig_text(*, flush: bool = False) -> str:
    """The shipped bench, its heater accepted without a watchdog, its safe sequence without a flush and its lamp."""
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    lamp = "  - step: lamp_off\n"
    assert lamp in rig
    rig = rig.replace(lamp, "")
    if not flush:
        began, ended = rig.index("safe_sequence:"), rig.index("\n# For the hours in which nobody")
        rig = rig[:began] + NO_FLUSH + rig[ended:]
    return rig.replace("\ntwin:\n", f"\n{ACCEPTED}\ntwin:\n")


def _write(served: TwinsServed, rig_file: Path, written: Path) -> None:
    written.write_text(rewritten_rig(rig_file.read_text(), served, 1.0))


async def _serve(rig_file: Path, written: Path) -> None:
    loop = asyncio.get_running_loop()
    served = await serve_rig(load_rig(rig_file), Setting(), blocking_clock(loop), ptys=False)
    _write(served, rig_file, written)
    print(json.dumps("ready"), flush=True)
    over = asyncio.Event()

    def told() -> None:
        line = sys.stdin.readline()
        if line in ("left\n", "refill\n"):
            now_s = loop.time()
            pumps = served.stage.world.network.pumps
            if line == "refill\n":
                for pump in pumps.values():
                    pump.set_content(now_s, pump.spec.syringe_volume_ul)
            left = {name: pump.content_ul(now_s) for name, pump in pumps.items()}
            print(json.dumps([now_s, "left", left]), flush=True)
        elif line:
            served.stage.world.block.command(loop.time(), float(line), True)
        else:
            over.set()

    loop.add_reader(sys.stdin.fileno(), told)
    known: dict[str, float] = {}
    while not over.is_set():
        now_s = loop.time()
        world = served.stage.world
        truth = {name: pump.commanded_ul_min for name, pump in world.network.pumps.items()}
        for what, value in {**truth, "heater": world.block.output_fraction(now_s)}.items():
            if known.get(what) != value:
                known[what] = value
                print(json.dumps([now_s, what, value]), flush=True)
        await asyncio.sleep(LOOK_S)
    served.close()


@dataclass
class ServedRig:
    """The process, its ports, and the newest value of everything with the time at which it was given."""

    process: subprocess.Popen[str]
    rig: Path
    state: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def start(cls, folder: Path, *, flush: bool = False) -> ServedRig:
        """Serve; returns once the ports are open and ``rig``, the file that names them, is written."""
        plain, written = folder / "bench.yaml", folder / "rig.yaml"
        plain.write_text(rig_text(flush=flush))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.served_rig", str(plain), str(written)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "ready"
        served = cls(process, written)
        threading.Thread(target=served._read, daemon=True).start()
        return served

    def heat(self, temperature_c: float) -> None:
        """Switch the heater on, past everybody."""
        self._tell(f"{temperature_c:g}")

    def left_ul(self, patience_s: float, *, refill: bool = False) -> dict[str, float]:
        """What is left in each syringe, µL, after filling them for ``refill``. Raises TimeoutError."""
        self.state.pop("left", None)
        self._tell("refill" if refill else "left")
        if not self.wait(lambda rig: "left" in rig.state, patience_s):
            raise TimeoutError("nobody says what is left in the syringes")
        return dict(self.state["left"][1])

    def _tell(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            t_s, what, value = json.loads(line)
            with self._changed:
                self.state[what] = (t_s, value)
                self._changed.notify_all()

    def wait(self, holds: Callable[[ServedRig], bool], patience_s: float) -> bool:
        """Wait until something holds of the state; False when it does not within the time."""
        until_s = time.monotonic() + patience_s
        with self._changed:
            while not holds(self):
                left_s = until_s - time.monotonic()
                if left_s <= 0.0 or not self._changed.wait(left_s):
                    return holds(self)
            return True

    @property
    def heating(self) -> bool:
        return bool(self.state.get("heater", (0.0, 0.0))[1] > 0.0)

    @property
    def pumping(self) -> tuple[str, ...]:
        """The pumps that run."""
        return tuple(pump for pump in PUMPS if self.state.get(pump, (0.0, 0.0))[1])

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10.0)


if __name__ == "__main__":
    run_real(_serve(Path(sys.argv[1]), Path(sys.argv[2])))
