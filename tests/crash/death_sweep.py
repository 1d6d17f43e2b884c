"""Let the daemon die in three ways, again and again, and see how soon the guardian has heaters off and pumps stopped.

    python -m tests.crash.death_sweep --each 100
    python -m tests.crash.death_sweep --each 10 --daemon

The first is with the least that holds a rig, the second with the daemon itself in the middle of a campaign. The twins
are served on TCP by a process of their own, which looks every 10 ms whether a heater gives power and a pump runs.
Guardian and daemon are real processes on real sockets. Times count from the moment before the signal is sent: SIGKILL;
SIGSTOP; a control loop that something blocks. Bars: heaters off within 3 s, pumps stopped within 5 s.

Every resumption of the daemon's campaign fills the line again. When a syringe runs low, by its scale, the operator ends
the campaign, fills the syringes, says so (``refill``) and submits the campaign anew.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.daemon.client import client_of
from orchestrator.errors import LumiflowError
from orchestrator.guardian.__main__ import guardian_command, guardian_words
from orchestrator.guardian.beat import SILENCE_LIMIT_S
from orchestrator.guardian.diary import FILE, rescues
from tests.crash.served_rig import ROOT, ServedRig
from tests.orchestrator.rehearsal import CONFIGS

HEATERS_BAR_S = 3.0
PUMPS_BAR_S = 5.0
WAYS = {"SIGKILL": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP, "blocked loop": signal.SIGUSR1}
_PATIENCE_S = 60.0
_READY_S = 240.0
"""How long a daemon may take to come back on a machine that has other work to do."""


@dataclass(frozen=True)
class Death:
    """One death: how, and after how many seconds heaters were off and pumps stopped."""

    way: str
    heaters_s: float
    pumps_s: float


def daemon_pid(guardian: int) -> int | None:
    """The guardian's only child."""
    children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
    return int(children[0]) if children else None


def holder_command(rig: Path) -> list[str]:
    """Starts the least that holds a rig: it heats, pumps solvent and beats, and does so again when started again."""
    work = ["--temperature", "120", "--flow", "400"]
    return [sys.executable, "-m", "orchestrator.safety_test.holder", "bench", str(rig), *work]


def start_guardian(
    folder: Path, rig: Path, restarts: int, daemon: list[str], *, silence_s: float = SILENCE_LIMIT_S
) -> subprocess.Popen[bytes]:
    """A guardian over what ``daemon`` starts, with the served rig in its hands."""
    words = guardian_words(folder, {"bench": rig}, daemon, silence_s=silence_s, restarts=restarts)
    return subprocess.Popen(
        guardian_command(["--restarts-within", "1e9", *words]),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=(folder / "guardian.log").open("ab"),
    )


def at_work(served: ServedRig) -> bool:
    return served.heating and served.pumping == ("solvent",)


def die(served: ServedRig, guardian: int, way: str, wait_s: float) -> Death:
    """Wait until the rig is at work, let its daemon die, and wait until the rig is safe. Raises SystemExit."""
    if not served.wait(at_work, _PATIENCE_S):
        raise SystemExit(f"the daemon does not get to work: {served.state}")
    time.sleep(wait_s)
    pid = daemon_pid(guardian)
    if pid is None:
        raise SystemExit("the daemon is not there")
    began_s = time.monotonic()
    os.kill(pid, WAYS[way])
    if not served.wait(lambda rig: not rig.heating and not rig.pumping, _PATIENCE_S):
        raise SystemExit(f"{way}: the rig is not safe after {_PATIENCE_S:g} s: {served.state}")
    off_s = served.state["heater"][0] - began_s
    stopped_s = served.state["solvent"][0] - began_s
    return Death(way, off_s, stopped_s)


class Campaigning:
    """The daemon on the served rig with a campaign: what brings it back to work after each of its deaths.

    ``refill_below``: the share of a syringe at which all are filled.
    """

    def __init__(self, served: ServedRig, folder: Path, refill_below: float = 0.3) -> None:
        self._served = served
        self._refill_below = refill_below
        self.refills = 0
        self.file = folder / "daemon.yaml"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.file.write_text(
            f"kind: daemon\nruns: runs\nhttp: {{port: {port}}}\n"
            f"rigs:\n  bench: {{file: {served.rig.name}, hardware: true}}\n"
        )
        self._submitted = False

    @property
    def command(self) -> list[str]:
        """Starts the daemon."""
        return [sys.executable, "-m", "tests.crash.blockable_daemon", str(self.file)]

    def to_work(self) -> None:
        """Submit the campaign, or resume it; once its pumps run, the heater is switched on past it."""
        rig = self._state(lambda rig: rig["state"] in ("idle", "paused"))
        full_ul = {name: each["volume_ul"] for name, each in rig["syringes"].items()}
        left_ul = self._served.left_ul(_PATIENCE_S)
        if any(left_ul[name] < self._refill_below * full_ul[name] for name in full_ul):
            self._refill(left_ul)
        if not self._submitted:
            text = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
            self._ask({"verb": "submit", "campaign": text})
            self._submitted = True
        else:
            self._ask({"verb": "resume"})
        if not self._served.wait(lambda rig: bool(rig.pumping), _READY_S):
            raise SystemExit("the campaign does not begin")
        self._served.heat(120.0)

    def _refill(self, left_ul: dict[str, float]) -> None:
        """End the campaign, fill the syringes, and say so."""
        if self._submitted:
            self._ask({"verb": "abort"})
            self._state(lambda rig: rig["job"] is None and rig["state"] in ("idle", "paused"))
            self._submitted = False
        counted = self._state(lambda rig: True)["syringes"]
        self._served.left_ul(_PATIENCE_S, refill=True)
        for pump, left in left_ul.items():
            print(f"{pump}: {left:.0f} µL left, {counted[pump]['left_ul']:.0f} by the record", file=sys.stderr)
            self._ask({"verb": "refill", "pump": pump})
        self.refills += 1

    def _ask(self, words: dict[str, Any]) -> None:
        client_of(self.file).command({"rig": "bench", **words})

    def _state(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        until_s = time.monotonic() + _READY_S
        seen: object = None
        while time.monotonic() < until_s:
            try:
                rig: dict[str, Any] = client_of(self.file).state()["rigs"]["bench"]
            except LumiflowError as error:
                seen = error
            else:
                if holds(rig):
                    return rig
                seen = (rig["state"], rig["detail"], rig["job"], rig["trip"])
            time.sleep(0.1)
        raise SystemExit(f"the daemon is not ready for a campaign: {seen}")


def sweep(
    each: int,
    seed: int,
    folder: Path,
    *,
    daemon: bool = False,
    ways: Sequence[str] = tuple(WAYS),
    refill_below: float = 0.3,
) -> list[Death]:
    """``each`` deaths of every way in a random order, under one guardian; of the daemon itself for ``daemon``."""
    generator = random.Random(seed)
    ways = [way for way in ways for _ in range(each)]
    generator.shuffle(ways)
    served = ServedRig.start(folder)
    campaigning = Campaigning(served, folder, refill_below) if daemon else None
    command = holder_command(served.rig) if campaigning is None else campaigning.command
    guardian = start_guardian(folder, served.rig, len(ways), command)
    deaths: list[Death] = []
    try:
        for number, way in enumerate(ways):
            try:
                if campaigning is not None:
                    campaigning.to_work()
            except SystemExit:
                print(report(deaths), flush=True)  # what has died so far counts
                raise
            deaths.append(die(served, guardian.pid, way, generator.uniform(0.0, 1.0)))
            print(f"{number + 1}/{len(ways)} {deaths[-1]}", file=sys.stderr, flush=True)
    finally:
        guardian.terminate()
        guardian.wait(60.0)
        served.stop()
    if campaigning is not None:
        print(f"the syringes were filled {campaigning.refills} times", file=sys.stderr, flush=True)
    found = rescues(folder / FILE)
    if len(found) < len(ways) or not all(rescue.well for rescue in found):
        raise SystemExit(f"{len(found)} rescues are in the guardian's journal, not all of them well: {found[-3:]}")
    return deaths


def report(deaths: list[Death]) -> str:
    """One line for every way: how many, median and worst."""
    lines = []
    for way in WAYS:
        mine = [death for death in deaths if death.way == way]
        if mine:
            off = [death.heaters_s for death in mine]
            stopped = [death.pumps_s for death in mine]
            lines.append(
                f"{way:<13} {len(mine):>4} times: heaters off after {statistics.median(off):.2f} s "
                f"(worst {max(off):.2f} s, bar {HEATERS_BAR_S:g} s), pumps stopped after "
                f"{statistics.median(stopped):.2f} s (worst {max(stopped):.2f} s, bar {PUMPS_BAR_S:g} s)"
            )
    return "\n".join(lines)


def main() -> int:
    """Sweep, say what was found; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--daemon", action="store_true", help="the daemon itself, in the middle of a campaign")
    parser.add_argument("--refill-below", type=float, default=0.3, help="share of a syringe at which all are filled")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deaths = sweep(
            options.each, options.seed, Path(folder), daemon=options.daemon, refill_below=options.refill_below
        )
    print(report(deaths))
    missed = [death for death in deaths if death.heaters_s > HEATERS_BAR_S or death.pumps_s > PUMPS_BAR_S]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
