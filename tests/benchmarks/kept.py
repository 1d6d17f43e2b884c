"""Results of a long benchmark in a file, so that one that was broken off goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.processes import as_they_end

T = TypeVar("T")


@dataclass(frozen=True)
class _Named:
    """Work on a named job, its result as plain data beside that name."""

    work: Callable[..., Any]

    def __call__(self, job: tuple[str, tuple[Any, ...]]) -> tuple[str, dict[str, Any]]:
        name, args = job
        return name, asdict(self.work(*args))


class Kept:
    """Results, frozen dataclasses, in a file: one a line, each with its job and the fingerprint of the code that gave
    it. Those of other code are not used again."""

    def __init__(self, path: Path, code: str, processes: int = 1) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._code = code
        self._processes = processes
        lines = path.read_text().splitlines() if path.exists() else []
        self._known = {row["job"]: row["result"] for row in map(json.loads, lines) if row.get("code") == code}

    def run(
        self,
        work: Callable[..., T],
        jobs: Sequence[tuple[Any, ...]],
        made: Callable[..., T],
        heard: Callable[[int, int, T], None] | None = None,
    ) -> list[T]:
        """The results of all jobs in their order; those that are missing are run and written down as they come.

        ``made``: makes a result of its fields. ``heard``: is told how many of how many that were missing are there, and
        the newest.
        """
        names = [json.dumps([work.__name__, *job]) for job in jobs]
        missing = [(name, job) for name, job in zip(names, jobs, strict=True) if name not in self._known]
        with self._path.open("a") as file, closing(as_they_end(_Named(work), missing, self._processes)) as ended:
            for count, (name, result) in enumerate(ended, start=1):
                self._known[name] = result
                file.write(json.dumps({"code": self._code, "job": name, "result": result}) + "\n")
                file.flush()
                if heard is not None:
                    heard(count, len(missing), self._made(name, made))
        return [self._made(name, made) for name in names]

    def _made(self, name: str, made: Callable[..., T]) -> T:
        return made(**{key: _frozen(value) for key, value in self._known[name].items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
