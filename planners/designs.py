"""Strategies that learn nothing: a Sobol sequence and independent random points."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.records import Proposal, Recommendation, Request
from planners.sampling import (
    Drawn,
    as_recipe,
    generator,
    latin_order,
    latin_stream,
    listed,
    next_in_order,
    next_in_stream,
    random_stream,
    sobol_stream,
    spread_order,
    visited,
)

Stream = Callable[[Request], Iterator[NDArray[np.float64]]]


@dataclass(frozen=True)
class Design:
    """The next unvisited point of a stream that depends on the seed alone."""

    name: str
    stream: Stream
    described: str
    order: Callable[[Request, NDArray[np.float64]], NDArray[np.int64]]
    """The order in which candidates [N, d] of a request that lists them are run: [N]."""

    def propose(self, request: Request) -> Proposal:
        """See `planners.Strategy`."""
        return _from_stream(request, self.stream, self.order, self.name, self.described)[0]

    def recommend(self, request: Request) -> Recommendation:
        """See `planners.Strategy`; without a model, only measured recipes are recommended."""
        from planners.recommending import recommend

        return recommend(None, request)


def sobol_design() -> Design:
    """A scrambled Sobol sequence."""
    return Design("sobol", sobol_stream, "Sobol sequence", spread_order)


def latin_design() -> Design:
    """Latin hypercubes, one after the other, each with one point in every slice of every variable."""
    return Design("latin", latin_stream, "Latin hypercube design", latin_order)


def random_design() -> Design:
    """Independent uniform points."""
    return Design("random", random_stream, "uniform random design", _shuffled)


def initial_proposal(request: Request, strategy: str, started: int, readings: int, *, least: int) -> Proposal | None:
    """The next point of the initial design of a strategy that goes on from what was read.

    None where the design has no recipe left that was not run and the ``least`` readings that the strategy needs are
    there: then it goes on by itself, however many the design was to have.
    """
    if started < request.initial:
        described = f"initial Sobol design, point {started + 1} of {request.initial}"
    else:
        described = f"Sobol design goes on, because {readings} of {started} recipes gave a reading and a model needs 2"
    proposal, fresh = _from_stream(request, sobol_stream, spread_order, strategy, described)
    return proposal if fresh or readings < least else None


def _shuffled(request: Request, points: NDArray[np.float64]) -> NDArray[np.int64]:
    return generator(request.seed, 0x0A2D).permutation(len(points))


def _from_stream(
    request: Request,
    stream: Stream,
    order: Callable[[Request, NDArray[np.float64]], NDArray[np.int64]],
    strategy: str,
    described: str,
) -> tuple[Proposal, bool]:
    """The next point, and whether it is one that was not run yet."""
    if request.candidates is not None:
        drawn = Drawn(*next_in_order(request, order(request, listed(request))), fresh=True)
    else:
        drawn = next_in_stream(request, stream(request), strategy)
    if drawn.fresh:
        why = f": first allowed of {drawn.looked} points not among the {len(visited(request))} already run."
    else:
        why = f".{drawn.repeat_words}"
    proposal = Proposal(
        x=as_recipe(request, drawn.point),
        strategy=strategy,
        phase="initial",
        acquisition="space filling",
        compared=drawn.looked,
        reason=f"The {described}{why}",
    )
    return proposal, drawn.fresh
