"""What the planners take from BoTorch, imported in one place and only by modules that a model needs.

Its dependencies call deprecated parts of torch while they load; those warnings are about them, not about the planner.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from botorch.models.ensemble import EnsembleModel
    from botorch.utils.safe_math import log_fatplus

__all__ = ["EnsembleModel", "log_fatplus", "one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the calling thread's own inside the block.

    These models are many small matrices: more threads wait for each other for longer than they compute, and the order
    in which they add up changes the last bits, so that one seed would not give one proposal on every machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
