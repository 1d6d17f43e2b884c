"""What a process that holds interlocks asks of Python, so that none of its threads keeps another waiting for long."""

from __future__ import annotations

import gc
import sys
from typing import Final

SWITCH_S: Final = 2e-4
"""How long a busy thread may keep Python's lock from one that has something to do; Python's own is 5 ms."""


def stay_prompt() -> None:
    """Switch between threads sooner, and leave what has been loaded out of every later collection of garbage.

    A full collection stops every thread, for the longer the more objects there are: those of the program itself, most
    of all, which stay anyway. Call it once everything has been loaded and started.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
