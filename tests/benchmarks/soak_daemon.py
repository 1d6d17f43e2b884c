"""The daemon's side of the soak: the daemon itself in a process of its own, and what is measured inside it.

    python -m tests.benchmarks.soak_daemon FOLDER DEVICES HZ [RIG ...]

It says where it listens in one line of JSON, ends at the end of its standard input, and then says in another what it
measured. The daemon's own rigs are of twins, as fast as they can: so many that their interlocks watch DEVICES in all,
HZ times a second of virtual time (0: at the usual periods). Each RIG is the file of one that `tests.crash.served_rig`
serves: its interlocks watch it in real time, in a control thread of its own, with the real drivers over TCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.config import parse_rig
from orchestrator.daemon.bench import stamp
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.feed import Feed
from orchestrator.daemon.http import serve_http
from orchestrator.daemon.planner_process import PlannerProcesses
from orchestrator.daemon.promptness import stay_prompt
from orchestrator.daemon.service import Daemon
from orchestrator.daemon.telemetry import Reading, Tap
from orchestrator.rig.build import steel_rig
from orchestrator.rig.devices import RigHeater, RigPressure, RigPump
from orchestrator.rig.rig import Rig
from orchestrator.rig.tracing import Unrecorded
from orchestrator.safety import interlocks as safety
from orchestrator.safety.trips import Trip
from tests.orchestrator.rehearsal import CONFIGS

RIG_TEXT = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
EUROTHERM = "driver: eurotherm\n    port: oven\n    unit: 1\n    registers: integer\n    decimals: 1\n"
NOVUS = "driver: novus\n    port: oven\n    unit: 1\n"
"""A controller that tells all about itself in one exchange: on a line of 9600 baud two of another take 50 ms."""
PUMPS_AND_OVEN = 5
"""What the interlocks watch of a rig at least; the pressure transmitter is the sixth."""
PRESSURE = """\
  mixer_pressure:
    driver: pressure_4_20ma
    port: oven
    unit: 2
    register: 0
    range: [0 kPa, 1000 kPa] # at 4 mA and at 20 mA
"""
OFTEN = safety.Periods(watch_s=0.05, pumps_s=0.05)
TOLD_S = 0.09  # of looks every 50 ms that is every other one
SAMPLE_S = 1.0


class WatchedRig:
    """Heater, pressure, four pumps: their interlocks look at each twenty times a second, the feed hears it ten times.

    A spectrometer has no interlock, and there is none.
    """

    def __init__(self, name: str, rig_file: Path, feed: Feed) -> None:
        self.name = name
        self._config = parse_rig(rig_file.read_text(), f"{name}.yaml")
        self.seen_s: dict[str, array[float]] = {}
        self.trips: list[str] = []
        self._feed = feed
        self._end = threading.Event()
        self._thread = threading.Thread(target=lambda: run_real(self._live()), name=f"control of {name}")
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    async def _live(self) -> None:
        clock = UtcClock(asyncio.get_running_loop())
        tap = Tap(Unrecorded(), lambda: stamp(clock), self._heard, TOLD_S)
        rig = steel_rig(self._config, tap)
        devices: list[RigHeater | RigPump | RigPressure] = [
            rig.heater,
            *rig.pumps.values(),
            *([rig.pressure] if rig.pressure is not None else []),
        ]
        for device in devices:
            await device.connect()
        interlocks = safety.Interlocks(rig, periods=OFTEN)
        watching = asyncio.ensure_future(interlocks.watch(self._tripped))
        while not self._end.is_set() and not watching.done():  # noqa: ASYNC110 - the end comes from another thread
            await asyncio.sleep(0.2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for device in devices:
            await device.close()

    def _heard(self, device: str, reading: Reading, due: bool) -> None:
        self.seen_s.setdefault(device, array("d")).append(reading.t_s)
        if due:
            said = {"device": device, "values": dict(reading.values)}
            self._feed.publish(self.name, "reading", said, t_s=reading.t_s, utc=reading.utc)

    async def _tripped(self, trip: Trip) -> None:
        self.trips.append(str(trip))


class Seen(dict[str, float]):
    """When each device of a rig last answered its interlocks, and into ``count`` how often it has."""

    def __init__(self, rig: str, count: dict[str, int], longest_s: dict[str, float]) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        self._rig = rig
        self._count = count
        self._longest_s = longest_s

    def __setitem__(self, device: str, t_s: float) -> None:
        before_s = self.get(device)
        if before_s is None:
            name = self._names[device] = f"{self._rig}.{device}"
            self._count.setdefault(name, 0)
            self._longest_s.setdefault(name, 0.0)
        else:
            name = self._names[device]
            self._longest_s[name] = max(self._longest_s[name], t_s - before_s)
        self._count[name] += 1
        super().__setitem__(device, t_s)


class Looks:
    """Makes interlocks that look so often, and counts their looks, each answered by its device.

    ``count``: looks at each device; ``longest_s``: the longest between two of them within one campaign, virtual.
    """

    def __init__(self, hz: float) -> None:
        self._periods = safety.Periods(watch_s=1.0 / hz, pumps_s=1.0 / hz) if hz else safety.Periods()
        self.count: dict[str, int] = {}
        self.longest_s: dict[str, float] = {}

    def watch(self, rig: Rig) -> safety.Interlocks:
        """The interlocks of a rig."""
        interlocks = safety.Interlocks(rig, periods=self._periods)
        interlocks.seen_s = Seen(rig.config.name, self.count, self.longest_s)
        return interlocks


def rig_texts(devices: int) -> dict[str, str]:
    """As few rigs as have so many devices that interlocks watch: four pumps and an oven each, some with a pressure.

    Raises ValueError where no number of rigs has just so many.
    """
    rigs = -(-devices // (PUMPS_AND_OVEN + 1))
    with_pressure = devices - PUMPS_AND_OVEN * rigs
    if with_pressure < 0:
        raise ValueError(f"rigs of five or six watched devices do not make {devices}")
    texts: dict[str, str] = {}
    for n in range(rigs):
        text = RIG_TEXT.replace("name: perovskite bench", f"name: bench{n}", 1)
        assert PRESSURE in text and EUROTHERM in text
        text = text.replace(EUROTHERM, NOVUS)
        if n >= with_pressure:
            text = text.replace(PRESSURE, "").replace("  pressure: mixer_pressure\n", "")
        texts[f"bench{n}"] = text
    return texts


def resident_bytes(pid: int | None = None) -> int:
    """Memory of a process, this one if none is named, that is in RAM (Linux)."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(folder: Path, devices: int, hz: float, rig_files: list[Path]) -> dict[str, Any]:
    """Serve until standard input ends; returns what was measured."""
    entries = ""
    for name, text in rig_texts(devices).items():
        (folder / f"{name}.yaml").write_text(text)
        entries += f"  {name}: {{file: {name}.yaml}}\n"
    path = folder / "daemon.yaml"
    path.write_text(f"kind: daemon\nrigs:\n{entries}http: {{port: 0}}\n")
    loaded = load_daemon(path)
    planners = PlannerProcesses()
    looks = Looks(hz)
    daemon = Daemon(loaded, decider=planners.decider, watch=looks.watch)
    await daemon.start()
    server = await serve_http(daemon, loaded)
    rigs = [WatchedRig(f"real{n}", where, daemon.feed) for n, where in enumerate(rig_files)]
    stay_prompt()
    print(json.dumps({"url": server.url, "tokens": str(folder / "lumiflow.tokens")}), flush=True)
    memory: list[int] = []
    most_readers = 0
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        await asyncio.wait({ended}, timeout=SAMPLE_S)
        memory.append(resident_bytes())
        most_readers = max(most_readers, daemon.feed.readers)
    for rig in rigs:
        rig.close()
    notices, cut = daemon.feed.seq, server.connections.cut
    await server.stop()
    await daemon.close()
    planners.close()
    seen = {f"{rig.name}.{device}": times.tolist() for rig in rigs for device, times in rig.seen_s.items()}
    trips = [trip for rig in rigs for trip in rig.trips]
    return {
        "memory": memory,
        "notices": notices,
        "cut": cut,
        "readers": most_readers,
        "seen_s": seen,
        "trips": trips,
        "looks": looks.count,
        "longest_s": looks.longest_s,
        "cpu_s": time.process_time(),
    }


if __name__ == "__main__":
    served = main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
    print(json.dumps(run_real(served)), flush=True)
