"""A rig of twins without a journal, and an ear for the outages that its drivers log: shared by the fault benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.clock.virtual_time import blocking_clock
from orchestrator.config import LoadedCampaign
from orchestrator.rig.build import build_rig
from orchestrator.rig.rig import Rig
from tests.benchmarks.fault_rows import BRIGHT
from tests.orchestrator.rehearsal import small

ROOT = Path(__file__).resolve().parents[2]


class Unrecorded:
    """A tracer that only runs what it is given."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    async def call(self, device: str, verb: str, args: object, action: Callable[[], Awaitable[Any]]) -> Any:
        return await action()

    def store(self, data: bytes) -> str:
        self._kept = {"newest": data}
        return "newest"

    def load(self, address: str) -> bytes:
        return self._kept[address]


class Outages(logging.Handler):
    """The loop's time of each outage that a ladder logs."""

    def __init__(self) -> None:
        super().__init__()
        self.times_s: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "outage:" in record.getMessage():
            self.times_s.append(asyncio.get_running_loop().time())


@contextlib.contextmanager
def outages() -> Iterator[Outages]:
    """Listen to the ladders instead of letting them print."""
    log = logging.getLogger("drivers.recovery")
    handler = Outages()
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def bright(seed: int, experiments: int, **edits: str) -> LoadedCampaign:
    """A short campaign of recipes that all show a line; ``edits`` replace more texts of the two files."""
    return seeded(small(experiments, **{**BRIGHT, **edits}), seed)


def seeded(loaded: LoadedCampaign, seed: int) -> LoadedCampaign:
    """The campaign with another seed."""
    return replace(loaded, config=loaded.config.model_copy(update={"seed": seed}))


def bench_rig(loaded: LoadedCampaign) -> Rig:
    """The twins of a campaign's rig on the running loop, with no journal behind them."""
    loop = asyncio.get_running_loop()
    return build_rig(loaded, Unrecorded(), hardware=False, clock=blocking_clock(loop), start_s=loop.time())


def fingerprint(*more: str) -> str:
    """A digest of every source and configuration that a result depends on; results of other code are not reused.

    ``more``: folders beside the usual ones.
    """
    digest = hashlib.sha256()
    for folder in ("orchestrator", "drivers", "simulators", "configs", "tests/benchmarks", *more):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".json", ".txt"):
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
