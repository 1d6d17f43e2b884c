"""What the planners take from BoTorch, imported in one place and only by modules that a model needs.

Its dependencies call deprecated parts of torch while they load; those warnings are about them, not about the planner.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from botorch.models.ensemble import EnsembleModel
    from botorch.utils.safe_math import log_fatplus

__all__ = ["EnsembleModel", "log_fatplus"]
