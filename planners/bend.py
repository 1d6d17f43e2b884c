"""Inputs that count for more at one end of their range: each is bent before a network sees it.

The bend is Kumaraswamy's distribution function, x -> 1 - (1 - x^a)^b, on the unit interval (Snoek et al., ICML 2014,
"Input warping for Bayesian optimization of non-stationary functions"). With both logarithms zero nothing is bent.
"""

from torch import Tensor

_EDGE = 1e-9
"""Distance from the ends of the unit interval within which slopes are no longer followed."""


def bent(x: Tensor, bend: Tensor) -> Tensor:
    """Features [N, D] under bends [B, 2 D], the logarithms of all a before those of all b: [B, N, D]."""
    first, second = _powers(bend)
    inside = x.clamp(_EDGE, 1.0 - _EDGE)
    return 1.0 - (1.0 - inside**first) ** second


def bent_with_slopes(x: Tensor, bend: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `bent` gives, and its slopes by the logarithms of a and of b, each [B, N, D]."""
    first, second = _powers(bend)
    inside = x.clamp(_EDGE, 1.0 - _EDGE)
    raised = inside**first
    rest = 1.0 - raised
    left = rest**second
    return 1.0 - left, second * left / rest * raised * inside.log() * first, -left * rest.log() * second


def _powers(bend: Tensor) -> tuple[Tensor, Tensor]:
    first, second = bend.exp().chunk(2, dim=1)
    return first[:, None, :], second[:, None, :]
