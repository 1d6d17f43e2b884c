"""The planner's process: what it is asked, what it reads for it, and that nobody waits for it in vain."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.campaign.planning_worker import KEPT, Answers
from orchestrator.errors import JournalError
from orchestrator.journal.journal import JournalDamaged
from tests.orchestrator.rehearsal import Rehearsed, rehearse, small

SOBOL = {"strategy: ensemble #": "strategy: sobol #"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rehearsed]:
    path = tmp_path_factory.mktemp("run") / "run.sqlite"
    return path, rehearse(small(3, **SOBOL), path)


def question(path: Path, seq: int, n: int) -> dict[str, object]:
    return {"journal": str(path), "seq": seq, "ask": "propose", "n": n}


def alter_the_first_record(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET kind = 'begun' WHERE seq = 1")
        connection.commit()


def test_its_answers_are_those_of_the_record_one_after_the_other_or_each_by_itself(run: tuple[Path, Rehearsed]) -> None:
    path, done = run
    proposals = [event for event in done.events if event.kind == "proposed"]
    lasting = Answers()
    for event in [*proposals, proposals[0]]:
        asked = question(path, event.seq - 1, event.data["n"])
        assert lasting.to(asked) == event.data == Answers().to(asked)


def test_what_it_has_read_it_does_not_read_again(run: tuple[Path, Rehearsed], tmp_path: Path) -> None:
    path = tmp_path / "copy.sqlite"
    shutil.copy(run[0], path)
    first, second = [event for event in run[1].events if event.kind == "proposed"][:2]
    answers = Answers()
    answers.to(question(path, first.seq - 1, 1))
    alter_the_first_record(path)
    assert answers.to(question(path, second.seq - 1, 2)) == second.data
    with pytest.raises(JournalDamaged):
        Answers().to(question(path, second.seq - 1, 2))


def test_rigs_that_ask_by_turns_do_not_make_it_read_again(run: tuple[Path, Rehearsed], tmp_path: Path) -> None:
    rigs = [Path(shutil.copy(run[0], tmp_path / f"rig{n}.sqlite")) for n in range(KEPT)]
    first, second = [event for event in run[1].events if event.kind == "proposed"][:2]
    answers = Answers()
    for path in rigs:
        answers.to(question(path, first.seq - 1, 1))
        alter_the_first_record(path)
    for path in rigs:
        assert answers.to(question(path, second.seq - 1, 2)) == second.data
    answers.to(question(run[0], first.seq - 1, 1))
    with pytest.raises(JournalDamaged):  # the one asked about longest ago has been forgotten for it
        answers.to(question(rigs[0], second.seq - 1, 2))


def test_another_journal_under_the_same_name_is_read_from_its_start(
    run: tuple[Path, Rehearsed], tmp_path: Path
) -> None:
    path = tmp_path / "run.sqlite"
    other = rehearse(small(2, **SOBOL, **{"seed: 1 #": "seed: 2 #"}), path)
    answers = Answers()
    answers.to(question(path, other.events[-1].seq - 3, 3))
    shutil.copy(run[0], path)
    last = run[1].events[-1].seq
    assert answers.to(question(path, last, 9)) == Answers().to(question(path, last, 9))
    with pytest.raises(JournalError, match=f"has {last} events, not {last + 1}"):
        answers.to(question(path, last + 1, 9))


def test_it_ends_without_a_word_when_whoever_asked_is_gone(run: tuple[Path, Rehearsed]) -> None:
    command = [sys.executable, "-m", "orchestrator.campaign.planning_worker"]
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdout.close()
    worker.stdin.write(f'{{"journal": "{run[0]}", "seq": 1, "ask": "nothing", "n": 1}}\n')
    worker.stdin.close()
    assert worker.wait(120.0) == 0
    assert worker.stderr is not None
    with worker.stderr:
        assert worker.stderr.read() == ""
