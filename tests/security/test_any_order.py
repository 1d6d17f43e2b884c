"""Commands in any order, from several hands at once: each is answered and journalled, and the daemon stays up."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.journal.journal import Journal
from tests.orchestrator.daemon.http.pretend import CAMPAIGN_TEXT, WRITE
from tests.security.threaded import in_a_thread, real_daemon

CAMPAIGN = (
    CAMPAIGN_TEXT.replace("experiments: 25", "experiments: 2")
    .replace("initial: 8", "initial: 2")
    .replace("strategy: ensemble", "strategy: sobol")
)
PLAIN = ("pause", "resume", "hold", "stop", "abort", "clear")
HANDS = 3


def some_command(dice: random.Random, jobs: list[str]) -> dict[str, Any]:
    """Any verb, mostly on the rig that there is, on jobs that there are, have been, or never were."""
    rig = "bench" if dice.random() < 0.95 else "bank"
    job = dice.choice([*jobs, "never-0001"])
    verb = dice.choice([*PLAIN, "submit", "submit", "cancel", "move", "refill"])
    command: dict[str, Any] = {"verb": verb, "rig": rig}
    if verb == "submit":
        command["campaign"] = CAMPAIGN if dice.random() < 0.7 else "kind: campaign\nname: broken\n"
    elif verb in ("cancel", "move"):
        command["job"] = job
    if verb == "move":
        command["place"] = dice.randint(1, 4)
    if verb == "refill":
        command["pump"] = dice.choice(["cs", "solvent", "none"])
    return command


async def hand(client: httpx.AsyncClient, dice: random.Random, count: int, jobs: list[str]) -> int:
    """One operator; returns how many commands reached the rig."""
    reached = 0
    for _ in range(count):
        command = some_command(dice, jobs)
        answer = await client.post("/api/commands", json=command)
        assert answer.status_code in (200, 409), (command, answer.status_code, answer.text)
        said = answer.json()
        assert said["accepted"] == (answer.status_code == 200)
        assert said["detail"], command
        if command["verb"] == "submit" and said["accepted"]:
            jobs.append(said["job"])
        reached += command["rig"] == "bench"
        await asyncio.sleep(dice.choice([0.0, 0.0, 0.02, 0.1]))
    return reached


async def play(url: str, seed: int, count: int) -> int:
    jobs: list[str] = []
    headers = {"authorization": f"Bearer {WRITE}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, verify=False, timeout=60.0) as client:
        hands = [hand(client, random.Random(f"{seed}-{n}"), count, jobs) for n in range(HANDS)]
        reached = sum(await asyncio.gather(*hands))
        state = (await client.get("/api/state")).json()["rigs"]["bench"]
        assert len({job["job"] for job in state["queue"]}) == len(state["queue"])
        assert [job["place"] for job in state["queue"]] == list(range(1, len(state["queue"]) + 1))
        listed = {run["run"] for run in (await client.get("/api/runs")).json()["runs"]}
        assert set(jobs) <= listed
        assert jobs, "no campaign was accepted"
    return reached


def try_them(folder: Path, seed: int, count: int) -> None:
    with in_a_thread(real_daemon(folder)) as running:
        reached = asyncio.run(play(running.server.url, seed, count))
    with Journal.open(folder / "runs" / "rigs" / "bench.sqlite", readonly=True) as journal:
        commands = [event.data for event in journal.events() if event.kind == "command"]
    assert len(commands) == reached
    assert {command["actor"]["name"] for command in commands} == {"operator"}


def test_commands_in_any_order_are_answered_and_journalled(tmp_path: Path) -> None:
    try_them(tmp_path, seed=1, count=12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_commands_in_any_order_are_answered_and_journalled(tmp_path: Path, seed: int) -> None:
    try_them(tmp_path, seed, count=40)
