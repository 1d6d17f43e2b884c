"""A rig's pumps, heater and pressure served on TCP by a process of its own, which writes down what is done to them.

    python -m tests.crash.served_rig

The first line on standard output names the ports; after it comes one line of JSON for every command that reaches a
plant: ``[t_s, what, value]`` with the machine's monotonic clock, ``heater`` and its output's set-point or null when it
is off, ``pump N`` and its flow in µL/min. It ends when its standard input does.
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

from orchestrator.virtual_time import run_real
from simulators.serve import serve_tcp
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, TcpPort
from simulators.wire_new_era import NewEraTwin
from simulators.wire_pressure import PressureChannel, PressureModuleTwin
from tests.contract.plants import LaggingHeater, SteadyPressure, SteppingPump
from tests.orchestrator.rehearsal import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
PUMPS = ("cs", "pb", "halide", "solvent")
NO_FLUSH = """safe_sequence:
  - step: heaters_off
  - step: pumps_stop
"""


@dataclass
class _ToldPump(SteppingPump):
    number: int = 0

    def drive(self, t_s: float, flow_ul_min: float) -> None:
        super().drive(t_s, flow_ul_min)
        _say(t_s, PUMPS[self.number], flow_ul_min)


@dataclass
class _ToldHeater(LaggingHeater):
    def command(self, t_s: float, set_point_c: float, automatic: bool) -> None:
        super().command(t_s, set_point_c, automatic)
        _say(t_s, "heater", set_point_c if automatic else None)


def _say(t_s: float, what: str, value: object) -> None:
    print(json.dumps([t_s, what, value]), flush=True)


async def _serve() -> None:
    line = ModbusLine(
        {
            1: EurothermTwin(_ToldHeater(automatic=False)),
            2: PressureModuleTwin({0: PressureChannel(SteadyPressure(20.0), 0.0, 1000.0)}),
        }
    )
    mechanics = {address: _ToldPump(number=address) for address in range(4)}
    chain = NewEraTwin(mechanics)
    pumps = await serve_tcp(lambda: chain)
    oven = await serve_tcp(lambda: TcpPort(line))
    print(json.dumps({"pumps": pumps.port, "oven": oven.port}), flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    await over.wait()
    pumps.close()
    oven.close()


def rig_text(pumps: int, oven: int, *, flush: bool = False) -> str:
    """The shipped bench with its serial line and its Modbus bus on loopback ports, its safe sequence without a flush
    and without its lamp.
    """
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    rtu = "    kind: modbus_rtu\n    url: /dev/ttyUSB1\n    baud_rate: 9600\n"
    assert rtu in rig
    rig = rig.replace("url: /dev/ttyUSB0", f"url: socket://127.0.0.1:{pumps}")
    rig = rig.replace(rtu, f"    kind: modbus_tcp\n    host: 127.0.0.1\n    tcp_port: {oven}\n")
    lamp = "  - step: lamp_off\n"
    assert lamp in rig
    rig = rig.replace(lamp, "")
    if not flush:
        began, ended = rig.index("safe_sequence:"), rig.index("\ntwin:")
        rig = rig[:began] + NO_FLUSH + rig[ended:]
    return rig


@dataclass
class ServedRig:
    """The process, its ports, and the newest value of everything with the time at which it was given."""

    process: subprocess.Popen[str]
    ports: dict[str, int]
    state: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def start(cls) -> ServedRig:
        """Serve; returns once the ports are open."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.served_rig"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        served = cls(process, json.loads(process.stdout.readline()))
        threading.Thread(target=served._read, daemon=True).start()
        return served

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
        return self.state.get("heater", (0.0, None))[1] is not None

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
    run_real(_serve())
