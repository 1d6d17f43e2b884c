"""The daemon for a long time under listeners: does its memory grow, are the stuck ones dropped, does control wait?

    python -m tests.benchmarks.soak virtual      # --hours 72 --hz 10 --devices 16 --experiments 10000 --listeners 20
    python -m tests.benchmarks.soak real --minutes 10

The daemon is a process of its own (`soak_daemon`); here are twenty listeners to its event stream, of which five never
read, and the operator who submits one campaign after the other to each of its rigs of twins. `virtual` goes on until so
many experiments are told, of all rigs together, and so many hours have passed on each of them (or `--wall` minutes
have), while interlocks look at so many devices so often. `real` measures how often the interlocks of three more rigs,
eighteen devices served by processes of their own, come to look at each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from orchestrator.daemon.http import token_of
from orchestrator.guardian.child import daemon_environ
from tests.benchmarks.soak_daemon import resident_bytes
from tests.crash.served_rig import ServedRig
from tests.orchestrator.rehearsal import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
LISTENERS = 20  # of which a quarter never reads
STUCK_AGAIN_S = 120.0
WARM_UP = 0.1
REAL_RIGS = 3  # of six watched devices each
CAMPAIGN_TEXT = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
SHORTENED = {
    "strategy: ensemble": "strategy: sobol",
    "target: 2.25 eV": "target: 2.90 eV",
    "range: [20 s, 300 s]": "range: [30 s, 36 s]",
    "range: [60 degC, 160 degC]": "range: [98 degC, 102 degC]",
    "residence_times: 3": "residence_times: 1",
    "temperature_band: 0.5 K": "temperature_band: 2 K",
    "experiments: 25": "experiments: 40",
    "looks: 3\n": "looks: 2\n",
    "look_interval: 20 s": "look_interval: 2 s",
    "dark_repeats: 3": "dark_repeats: 1",
    "integration: [5 ms, 2 s]": "integration: [5 ms, 200 ms]",
}
"""What makes the experiments of the shipped campaign short: a minute of reactor time, and no training."""
PROGRESS_S = 120.0
OPERATOR_S = 1.0
DEVICES, HZ = 16, 10.0
EXPERIMENTS, HOURS = 10_000, 72.0


@dataclass(frozen=True)
class Soaked:
    """What came of it. Times in s; `memory_*` in MB; `reactor_h`: of the rig that has run least.

    `look_*`: between two answers of one served device, real; `twins`: how often each twin was looked at by its
    interlocks, `twin_gap_s`: the longest that one was not within a campaign, virtual.
    """

    mode: str
    wall_s: float
    experiments: int
    reactor_h: float
    campaigns: int
    listeners: int
    notices: int
    heard: int
    gaps: int
    dropped: int
    memory_warm: float
    memory_end: float
    devices: int
    looks: int
    look_p50_s: float | None
    look_p999_s: float | None
    look_worst_s: float | None
    load: float
    trips: tuple[str, ...]
    twins: Mapping[str, int]
    twin_gap_s: float
    cpu_s: float

    @property
    def growth(self) -> float:
        """Memory at the end over that after warm-up, less one."""
        return self.memory_end / self.memory_warm - 1.0

    def text(self) -> str:
        """The result for a person, of what this mode shows."""
        looks = self.twins.values()
        lines = []
        if self.mode == "virtual":
            lines = [
                f"virtual: {self.experiments} experiments in {self.campaigns} campaigns, {self.reactor_h:.1f} h of "
                f"virtual time on each rig; {self.wall_s:.0f} s by the wall, {self.cpu_s:.0f} s of the daemon's CPU",
                f"twins: {len(looks)} devices, {sum(looks)} looks at them, {min(looks, default=0)} to "
                f"{max(looks, default=0)} at each, at most {1e3 * self.twin_gap_s:.0f} ms apart within a campaign",
            ]
        elif self.look_p50_s is not None and self.look_p999_s is not None and self.look_worst_s is not None:
            lines = [
                f"real: {self.devices} devices, {self.looks} looks in {self.wall_s:.0f} s: every "
                f"{1e3 * self.look_p50_s:.0f} ms, p99.9 {1e3 * self.look_p999_s:.0f} ms, worst "
                f"{1e3 * self.look_worst_s:.0f} ms; machine's load {self.load:.1f} on {os.cpu_count()} cores"
            ]
        lines += [
            f"{self.listeners} listeners, {self.listeners // 4} of which never read: {self.notices} notices, "
            f"{self.heard} heard, {self.gaps} gaps in what was heard, stuck connections cut off: {self.dropped}",
            f"memory: {self.memory_warm:.1f} MB after warm-up, {self.memory_end:.1f} MB at the end, "
            f"{100 * self.growth:+.1f} %",
            f"trips: {', '.join(self.trips) or 'none'}",
        ]
        return "\n".join(lines)


class Listeners:
    """Clients of the event stream, a quarter of which never read."""

    def __init__(self, url: str, token: str, count: int) -> None:
        self.heard = 0
        self.gaps = 0
        self._port = int(urlsplit(url).port or 0)
        self._request = f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        stuck = count // 4
        self._tasks = [asyncio.ensure_future(self._reading()) for _ in range(count - stuck)]
        self._tasks += [asyncio.ensure_future(self._stuck()) for _ in range(stuck)]

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # for what was hung up to be let go

    async def _reading(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        last = 0
        try:
            async for line in reader:
                if line.startswith(b"id: "):
                    number = int(line.rpartition(b":")[2])
                    self.gaps += bool(last) and number != last + 1
                    self.heard += 1
                    last = number
        finally:
            writer.transport.abort()
        self.gaps += 1  # a stream that ends while the daemon lives

    async def _stuck(self) -> None:
        """Never read, for long enough to be cut off; then try again."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
            writer.write(self._request)
            try:
                await asyncio.sleep(STUCK_AGAIN_S)
            finally:
                writer.transport.abort()
            del reader


@dataclass(frozen=True)
class Bar:
    """How much is to be done: experiments of all rigs of twins, hours on each, what interlocks watch and how often.

    ``hz`` 0: at their usual periods.
    """

    experiments: int = EXPERIMENTS
    hours: float = HOURS
    devices: int = DEVICES
    hz: float = HZ


async def soak(mode: str, bar: Bar, *, wall_s: float, listeners: int = LISTENERS) -> Soaked:
    """Run one soak. Raises RuntimeError when the daemon does not come up."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, contextlib.ExitStack() as benches:
        served = [_served(Path(folder) / f"real{n}") for n in range(REAL_RIGS if mode == "real" else 0)]
        for bench in served:
            benches.callback(bench.stop)
        rigs = (str(bench.rig) for bench in served)
        words = (sys.executable, "-m", "tests.benchmarks.soak_daemon", folder, f"{bar.devices}", f"{bar.hz}", *rigs)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, cwd=ROOT, limit=1 << 30, env=daemon_environ(os.environ)
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            first = await process.stdout.readline()
            if not first:
                raise RuntimeError("the daemon did not come up")
            where = json.loads(first)
            began = loop.time()
            token = token_of(Path(where["tokens"]))
            crowd = Listeners(where["url"], token, listeners)
            headers = {"authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=where["url"], headers=headers, timeout=120.0, verify=False) as client:
                if mode == "virtual":
                    watch = asyncio.ensure_future(_progress(process.pid, crowd, done := Done()))
                    await _operate(client, done, bar, began + wall_s)
                    watch.cancel()
                    told, reactor_h, campaigns = done.experiments, done.hours, done.campaigns
                else:
                    told, reactor_h, campaigns = await _ask(client, began + wall_s)
            elapsed_s = loop.time() - began
            await crowd.close()
            process.stdin.close()
            measured = json.loads(await process.stdout.readline())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.stdin.close()
            await process.wait()
    return _result(mode, elapsed_s, told, reactor_h, campaigns, listeners, crowd, measured)


def _served(folder: Path) -> ServedRig:
    folder.mkdir()
    return ServedRig.start(folder)


@dataclass
class Shift:
    """One rig's part: what its campaigns that are over have come to, and the present one."""

    over: int = 0
    over_h: float = 0.0
    now: int = 0
    now_h: float = 0.0
    job: str = ""


@dataclass
class Done:
    """How far the operator has come: each rig's part, and campaigns submitted."""

    shifts: dict[str, Shift] = field(default_factory=dict)
    campaigns: int = 0

    @property
    def experiments(self) -> int:
        """Experiments told, of all rigs."""
        return sum(shift.over + shift.now for shift in self.shifts.values())

    @property
    def hours(self) -> float:
        """Reactor time of the rig that has run least."""
        return min((shift.over_h + shift.now_h for shift in self.shifts.values()), default=0.0)


def short_campaign() -> str:
    """The campaign that the operator submits again and again."""
    text = CAMPAIGN_TEXT
    for shipped, short in SHORTENED.items():
        assert shipped in text
        text = text.replace(shipped, short)
    return text


async def _operate(client: httpx.AsyncClient, done: Done, bar: Bar, end_s: float) -> None:
    """Keep the rigs busy until enough is done or the time is over.

    Between two campaigns all syringes are filled again, and what has tripped is cleared.
    """
    loop = asyncio.get_running_loop()
    campaign = short_campaign()
    while loop.time() < end_s and (done.experiments < bar.experiments or done.hours < bar.hours):
        for name, rig in (await client.get("/api/state")).json()["rigs"].items():
            shift = done.shifts.setdefault(name, Shift())
            if rig["job"] is not None or rig["queue"]:
                shift.now, shift.now_h = rig["told"], (rig["t_s"] or 0.0) / 3600.0
                continue
            if shift.job:
                summary = (await client.get(f"/api/runs/{shift.job}")).raise_for_status().json()["info"]["summary"]
                shift.over += summary["experiments"]
                shift.over_h += summary["reactor_s"] / 3600.0
                shift.now, shift.now_h, shift.job = 0, 0.0, ""
            if done.experiments >= bar.experiments and shift.over_h >= bar.hours:
                continue
            commands: list[dict[str, Any]] = [{"verb": "clear"}] if rig["state"] == "tripped" else []
            commands += [{"verb": "refill", "pump": pump} for pump in rig["syringes"]]
            commands += [{"verb": "submit", "campaign": campaign, "overrides": {"seed": done.campaigns}}]
            for command in commands:
                answer = await client.post("/api/commands", json={"rig": name, **command})
                shift.job = answer.raise_for_status().json()["job"]
            done.campaigns += 1
        await asyncio.sleep(OPERATOR_S)


async def _progress(pid: int, crowd: Listeners, done: Done) -> None:
    """Say on standard error how it goes, so that a soak that is cut short has not been for nothing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        await asyncio.sleep(PROGRESS_S)
        print(
            f"{(loop.time() - began) / 60.0:.0f} min: {done.experiments} experiments, {done.hours:.1f} h, "
            f"{done.campaigns} campaigns, {resident_bytes(pid) / 1e6:.1f} MB, {crowd.heard} heard, {crowd.gaps} gaps",
            file=sys.stderr,
            flush=True,
        )


async def _ask(client: httpx.AsyncClient, end_s: float) -> tuple[int, float, int]:
    """Be somebody who looks at the page and has a campaign checked now and then."""
    loop = asyncio.get_running_loop()
    while loop.time() < end_s:
        for _ in range(4):
            (await client.get("/api/state")).raise_for_status()
            await asyncio.sleep(0.5)
        body = {"campaign": CAMPAIGN_TEXT, "rig": "bench0"}
        (await client.post("/api/validate", json=body)).raise_for_status()
    return 0, 0.0, 0


def _result(
    mode: str,
    wall_s: float,
    told: int,
    hours: float,
    campaigns: int,
    listeners: int,
    crowd: Listeners,
    measured: dict[str, Any],
) -> Soaked:
    memory = [size / 1e6 for size in measured["memory"]]
    span = max(1, round(len(memory) * WARM_UP))
    after = memory[span : 2 * span] or memory
    looks = sorted(
        later - earlier
        for times in measured["seen_s"].values()
        for earlier, later in pairwise(times[20:])  # without the first looks, while all starts up
    )
    return Soaked(
        mode=mode,
        wall_s=wall_s,
        experiments=told,
        reactor_h=hours,
        campaigns=campaigns,
        listeners=listeners,
        notices=measured["notices"],
        heard=crowd.heard,
        gaps=crowd.gaps,
        dropped=measured["cut"],
        memory_warm=statistics.median(after),
        memory_end=statistics.median(memory[-span:]),
        devices=len(measured["seen_s"]),
        looks=len(looks),
        look_p50_s=statistics.median(looks) if looks else None,
        look_p999_s=looks[int(0.999 * len(looks))] if looks else None,
        look_worst_s=looks[-1] if looks else None,
        load=os.getloadavg()[0],
        trips=tuple(measured["trips"]),
        twins=measured["looks"],
        cpu_s=measured["cpu_s"],
        twin_gap_s=max(measured["longest_s"].values(), default=0.0),
    )


def main(words: Sequence[str] | None = None) -> None:
    """Soak, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["virtual", "real"])
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="of all rigs of twins together")
    parser.add_argument("--hours", type=float, default=HOURS, help="of virtual time on each of them")
    parser.add_argument("--devices", type=int, default=DEVICES, help="twins that interlocks watch, of all rigs")
    parser.add_argument("--hz", type=float, default=HZ, help="looks at each a second; 0: as usual")
    parser.add_argument("--minutes", type=float, default=10.0, help="of wall time (real)")
    parser.add_argument("--wall", type=float, default=24 * 60.0, help="at most so many minutes of wall time (virtual)")
    parser.add_argument("--listeners", type=int, default=LISTENERS, help="0: to compare with")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    minutes = given.wall if given.mode == "virtual" else given.minutes
    bar = Bar(given.experiments, given.hours, given.devices, given.hz)
    soaked = asyncio.run(soak(given.mode, bar, wall_s=60.0 * minutes, listeners=given.listeners))
    print(json.dumps({**asdict(soaked), "growth": soaked.growth}) if given.json else soaked.text())


if __name__ == "__main__":
    main()
