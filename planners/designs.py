"""Strategies that learn nothing: a Sobol sequence and independent random points."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.records import Proposal, Recommendation, Request
from planners.sampling import (
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
        return _from_stream(request, self.stream, self.order, self.name, self.described)

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


def initial_proposal(request: Request, strategy: str, started: int, readings: int) -> Proposal:
    """The next point of the initial design of a model-based strategy."""
    if started < request.initial:
        described = f"initial Sobol design, point {started + 1} of {request.initial}"
    else:
        described = f"Sobol design goes on, because {readings} of {started} recipes gave a reading and a model needs 2"
    return _from_stream(request, sobol_stream, spread_order, strategy, described)


def _shuffled(request: Request, points: NDArray[np.float64]) -> NDArray[np.int64]:
    return generator(request.seed, 0x0A2D).permutation(len(points))


def _from_stream(
    request: Request,
    stream: Stream,
    order: Callable[[Request, NDArray[np.float64]], NDArray[np.int64]],
    strategy: str,
    described: str,
) -> Proposal:
    if request.candidates is not None:
        point, looked = next_in_order(request, order(request, listed(request)))
    else:
        point, looked = next_in_stream(request, stream(request), strategy)
    return Proposal(
        x=as_recipe(request, point),
        strategy=strategy,
        phase="initial",
        acquisition="space filling",
        compared=looked,
        reason=f"The {described}: first allowed of {looked} points not among the {len(visited(request))} already run.",
    )
