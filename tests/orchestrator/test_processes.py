"""Jobs in processes of their own: what comes back, and how soon the processes end with whoever waits for them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import LumiflowError
from orchestrator.processes import as_they_end

ROOT = Path(__file__).resolve().parents[2]
LONG_S, SOON_S = 120.0, 20.0


def sleeping(duration_s: float) -> str:
    return f"__import__('time').sleep({duration_s})"


def ended_soon(began_s: float) -> bool:
    return time.monotonic() - began_s < SOON_S and multiprocessing.active_children() == []


def test_a_job_that_fails_ends_the_others_at_once_and_loses_nothing_that_was_done() -> None:
    began_s, found = time.monotonic(), list[str]()
    with (
        pytest.raises(ZeroDivisionError),
        closing(as_they_end(eval, ["'done'", sleeping(LONG_S), "1 / 0", sleeping(LONG_S)], 2)) as ended,
    ):
        for result in ended:
            found.append(result)
    assert found == ["done"]
    assert ended_soon(began_s)


def test_processes_end_at_once_with_whoever_stops_looking() -> None:
    began_s = time.monotonic()
    with closing(as_they_end(eval, ["'done'", *[sleeping(LONG_S)] * 3], 2)) as ended:
        assert next(ended) == "done"
    assert ended_soon(began_s)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to one thread")
def test_ctrl_c_ends_the_processes_at_once_and_they_do_not_hear_it() -> None:
    began_s, found = time.monotonic(), list[int]()
    ended = as_they_end(eval, ["__import__('os').getpid()", *[sleeping(LONG_S)] * 3], 2)

    def interrupt() -> None:
        os.kill(found[0], signal.SIGINT)  # a terminal sends it to the processes too
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), closing(ended):
        for pid in ended:
            found.append(pid)
            threading.Thread(target=interrupt).start()
    assert len(found) == 1
    assert ended_soon(began_s)


def test_a_process_that_was_killed_is_told_in_words() -> None:
    with pytest.raises(LumiflowError, match="a process ended before its job did"):
        list(as_they_end(eval, ["__import__('os')._exit(9)", sleeping(LONG_S)], 2))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_processes_end_with_one_that_is_killed() -> None:
    code = (
        "from orchestrator.processes import as_they_end\n"
        f"for each in as_they_end(eval, {['1', *[sleeping(LONG_S)] * 2]}, 2): print(each, flush=True)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"1\n"
    running.kill()
    assert running.communicate(timeout=SOON_S)[0] == b""  # its end comes when no process holds it open any more
