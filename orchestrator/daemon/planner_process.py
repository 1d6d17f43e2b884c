"""The planner's processes, as the campaigns of the daemon ask them."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.planning import read_or_archived
from orchestrator.errors import LumiflowError

if TYPE_CHECKING:
    from orchestrator.config import LoadedCampaign
    from orchestrator.history.run_state import RunState

Data = dict[str, Any]

_log = logging.getLogger("lumiflow.planner")


class PlannerFailed(LumiflowError):  # noqa: N818 - what happened
    """The planner could not answer, or its process died twice over one question."""


class ProcessDecider:
    """Asks the planner in another process; see `orchestrator.campaign.planning_worker`."""

    def __init__(self, processes: PlannerProcesses, journal: Path) -> None:
        self._processes = processes
        self._journal = str(journal)

    async def propose(self, state: RunState, n: int) -> Data:
        """The data of the next ``proposed`` event."""
        question = {"journal": self._journal, "seq": state.last_seq, "ask": "propose", "n": n}
        data: Data = await asyncio.get_running_loop().run_in_executor(None, self._processes.ask, question)
        return data

    async def recommend(self, state: RunState) -> Data | None:
        """The data of the ``recommended`` event; None when there is nothing to recommend."""
        if not read_or_archived(state):
            return None
        question = {"journal": self._journal, "seq": state.last_seq, "ask": "recommend"}
        data: Data | None = await asyncio.get_running_loop().run_in_executor(None, self._processes.ask, question)
        return data


class PlannerProcesses:
    """As many processes as are asked at once; each is kept for the next question. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[str]] = []
        self._all: list[subprocess.Popen[str]] = []
        self._closed = False

    def decider(self, loaded: LoadedCampaign, journal: Path) -> ProcessDecider:
        """Who answers for the planner of a campaign with this journal."""
        return ProcessDecider(self, journal)

    def ask(self, question: Data) -> Any:
        """The answer; blocks. A process that dies over a question is replaced once. Raises PlannerFailed."""
        for attempt in (1, 2):
            worker = self._take()
            answer = _exchange(worker, json.dumps(question))
            if answer is None:
                worker.kill()
                worker.wait()
                if attempt == 1 and not self._closed:
                    _log.error("the planner's process %d died; asking another one", worker.pid)
                continue
            with self._lock:
                self._idle.append(worker)
            if "error" in answer:
                raise PlannerFailed(f"the planner: {answer['error']}")
            return answer["data"]
        raise PlannerFailed("the planner's process died over the same question twice")

    def close(self) -> None:
        """End every process, also in the middle of an answer."""
        with self._lock:
            self._closed = True
            workers = tuple(self._all)
        for worker in workers:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()

    def _take(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise PlannerFailed("the daemon is going down")
            if self._idle:
                return self._idle.pop()
            words = [sys.executable, "-m", "orchestrator.campaign.planning_worker"]
            worker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
            self._all.append(worker)
            return worker


def _exchange(worker: subprocess.Popen[str], question: str) -> dict[str, Any] | None:
    """Question and answer; None where the process is gone."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(question + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        return json.loads(line) if line else None
    except (OSError, ValueError):
        return None
