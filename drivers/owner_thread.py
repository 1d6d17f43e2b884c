"""Calls that block, in the thread that owns a device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


async def ended_in_thread(
    executor: Executor | None, action: Callable[[], T], within_s: float
) -> asyncio.Future[T] | None:
    """The call once it has ended, with what it gives or raises; None where it takes longer than ``within_s``.

    A call cannot be interrupted, so one that is late is left alone, and what comes of it belongs to nobody.
    """
    call = asyncio.get_running_loop().run_in_executor(executor, action)
    done, _ = await asyncio.wait([call], timeout=within_s)
    if done:
        return call
    call.add_done_callback(_forget)
    return None


def _forget(call: asyncio.Future[Any]) -> None:
    if not call.cancelled():
        call.exception()
