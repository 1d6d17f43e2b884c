"""The machine: room on the disk, its clocks, the versions of what is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.doctor.verdict import Check
from orchestrator.errors import JournalError, LumiflowError

SCARCE_BYTES = 100 * 1024**2
LITTLE_BYTES = 2 * 1024**3
"""A campaign of 25 experiments writes a few megabytes; a month of several rigs a gigabyte or so."""
SLOW_COMMIT_S = 0.25
COMMITS = 5
CLOCK_LOOK_S = 0.2
CLOCK_SLACK_S = 0.05
EARLIEST_YEAR = 2025


def check_disk(folder: Path) -> list[Check]:
    """Room where the runs are kept, and whether a journal can be written there."""
    place = next((path for path in (folder, *folder.parents) if path.is_dir()), Path())
    free = shutil.disk_usage(place).free
    words = f"{free / 1024**3:.1f} GB free at {place}"
    if free < SCARCE_BYTES:
        checks = [Check("disk", "problem", words, "make room: a run whose journal cannot be written is ended")]
    elif free < LITTLE_BYTES:
        checks = [Check("disk", "warning", words, "make room, or keep runs elsewhere (runs: in the daemon's file)")]
    else:
        checks = [Check("disk", "ok", words)]
    return [*checks, _check_journal(place)]


def _check_journal(place: Path) -> Check:
    from orchestrator.journal.journal import Journal

    async def commit(path: Path) -> float:
        loop = asyncio.get_running_loop()
        with Journal.create(path, UtcClock(loop)) as journal:
            began_s = loop.time()
            for n in range(COMMITS):
                await journal.append("doctor", {"n": n})
            return (loop.time() - began_s) / COMMITS

    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as scratch:
            commit_s = run_real(commit(Path(scratch) / "trial.sqlite"))
    except (OSError, JournalError) as error:
        advice = "runs need a folder that this user can write to, on a local disk"
        return Check("journal", "problem", f"no journal can be written in {place}: {error}", advice)
    words = f"a record is on the disk after {1000 * commit_s:.0f} ms"
    if commit_s > SLOW_COMMIT_S:
        return Check("journal", "warning", words, "keep runs on a faster, local disk: control waits for its journal")
    return Check("journal", "ok", words)


def check_clock() -> list[Check]:
    """Whether the wall's clock and the monotonic one agree, and whether anybody keeps the former right."""

    async def look() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        clock = UtcClock(loop)
        wall, began_s = clock.wall(), loop.time()
        await asyncio.sleep(CLOCK_LOOK_S)
        return (clock.wall() - wall).total_seconds() - (loop.time() - began_s), wall.year

    apart_s, year = run_real(look())
    if year < EARLIEST_YEAR:
        return [Check("clock", "problem", f"the clock says {year}", "set the clock: journals bear its time")]
    if abs(apart_s) > CLOCK_SLACK_S:
        words = f"within {CLOCK_LOOK_S:g} s the clock moved {1000 * apart_s:+.0f} ms against steady time"
        return [Check("clock", "warning", words, "something sets the clock in steps; let NTP slew it")]
    return [Check("clock", "ok", "steady"), _check_ntp()]


def _check_ntp() -> Check:
    tool = shutil.which("timedatectl")
    unknown = Check(
        "clock service", "warning", "it cannot be told whether NTP keeps the clock right", "see that it does"
    )
    if tool is None:
        return unknown
    try:
        asked = [tool, "show", "-p", "NTPSynchronized", "--value"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=5.0, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    if answer == "yes":
        return Check("clock service", "ok", "NTP keeps the clock right")
    if answer == "no":
        return Check("clock service", "warning", "the clock is not synchronized", "timedatectl set-ntp true")
    return unknown


def check_versions() -> list[Check]:
    """Everything installed that Lumiflow needs, from one place, in the versions that are tested."""
    from orchestrator.origin import check_one_origin

    checks: list[Check] = []
    try:
        check_one_origin()
    except LumiflowError as error:
        checks.append(Check("installation", "problem", str(error), "install Lumiflow into an environment of its own"))
    try:
        needed = [
            re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires("lumiflow") or () if "extra" not in line
        ]
    except PackageNotFoundError:
        return [*checks, Check("versions", "warning", "Lumiflow is not installed as a package", "pip install -e .")]
    absent = sorted(name for name in needed if _installed(name) is None)
    if absent:
        words = f"not installed: {', '.join(absent)}"
        return [*checks, Check("versions", "problem", words, "pip install -c constraints.txt -e .")]
    tested = Path(__file__).parents[2] / "constraints.txt"
    pins = re.findall(r"^([\w.-]+)==(\S+)$", tested.read_text(), re.MULTILINE) if tested.is_file() else []
    others = [f"{name} {have} (tested: {pin})" for name, pin in pins if (have := _installed(name)) not in (None, pin)]
    others = [words for words in others if "+" not in words.split(" (")[0]]  # a local build of the tested version
    if others:
        words = f"other versions than the tested ones: {', '.join(others)}"
        return [*checks, Check("versions", "warning", words, "pip install -c constraints.txt -e .")]
    return [*checks, Check("versions", "ok", f"{len(needed)} packages are there" + (", as tested" if pins else ""))]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
