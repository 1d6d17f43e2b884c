"""Points of the unit cube: seeded Sobol sequences, and the filter by what the rig may run."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.records import Request

SAME_POINT = 1e-6
"""Recipes closer than this in every unit coordinate are one recipe."""

_STREAM_CHUNK = 256
_STREAM_LENGTH = 65_536


def generator(*entropy: int) -> np.random.Generator:
    """A generator of its own for one purpose; no global state is read or written."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def sobol(dimension: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The first `count` points [count, dimension] of an Owen-scrambled Sobol sequence."""
    from scipy.stats import qmc

    bits = max(count - 1, 1).bit_length()
    return np.asarray(qmc.Sobol(dimension, scramble=True, rng=rng).random_base2(bits)[:count], dtype=np.float64)


def snap(request: Request, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit points [n, d] moved to where the space can realise them (whole numbers, fixed variables)."""
    return request.space.to_unit(request.space.from_unit(unit))


def allowed(request: Request, unit: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which unit points [n, d] the request's `feasible` lets through: [n].

    Raises:
        PlannerError: `feasible` answers with something other than one truth value per row.
    """
    if request.feasible is None or len(unit) == 0:
        return np.ones(len(unit), dtype=np.bool_)
    answer = np.asarray(request.feasible(request.space.from_unit(unit)))
    if answer.shape != (len(unit),) or answer.dtype != np.bool_:
        raise PlannerError(
            f"feasible answered {answer.dtype} of shape {answer.shape} for {len(unit)} rows, not one bool for each"
        )
    return answer


def visited(request: Request) -> NDArray[np.float64]:
    """Unit coordinates [k, d] of every observed and pending recipe, replicates included."""
    return request.space.to_unit([observation.x for observation in request.observations] + list(request.pending))


def distinct(unit: NDArray[np.float64]) -> NDArray[np.int64]:
    """Group number [n] of each unit point [n, d]; replicates share one. Groups are numbered by first appearance."""
    groups = np.empty(len(unit), dtype=np.int64)
    heads: list[int] = []
    for i, point in enumerate(unit):
        same = [g for g, head in enumerate(heads) if np.max(np.abs(unit[head] - point), initial=0.0) <= SAME_POINT]
        groups[i] = same[0] if same else len(heads)
        if not same:
            heads.append(i)
    return groups


def unvisited(unit: NDArray[np.float64], seen: NDArray[np.float64], distance: float = SAME_POINT) -> NDArray[np.bool_]:
    """Which unit points [n, d] differ from all of `seen` [k, d] by more than `distance` in some coordinate: [n]."""
    if len(seen) == 0 or len(unit) == 0:
        return np.ones(len(unit), dtype=np.bool_)
    gaps = np.max(np.abs(unit[:, None, :] - seen[None, :, :]), axis=2)
    return np.asarray(np.min(gaps, axis=1) > distance, dtype=np.bool_)


def next_in_stream(
    request: Request, stream: Iterator[NDArray[np.float64]], tag: str
) -> tuple[NDArray[np.float64], int]:
    """The first allowed and unvisited point of a stream of unit points, and how many points were looked at.

    When every allowed point has been visited (whole-number spaces), the least visited one.

    Raises:
        PlannerError: no allowed point in the whole stream.
    """
    seen = visited(request)
    looked = 0
    permitted: list[NDArray[np.float64]] = []
    for chunk in stream:
        points = snap(request, chunk)
        looked += len(points)
        points = points[allowed(request, points)]
        fresh = points[unvisited(points, seen)]
        if len(fresh):
            return fresh[0], looked
        permitted.append(points[:_STREAM_CHUNK])
    known = np.concatenate(permitted) if permitted else np.empty((0, request.space.dimension))
    if len(known) == 0:
        raise PlannerError(f"{tag}: none of {looked} recipes over the whole search space is allowed")
    visits = np.sum(np.max(np.abs(known[:, None, :] - seen[None, :, :]), axis=2) <= SAME_POINT, axis=1)
    return known[int(np.argmin(visits))], looked


def sobol_stream(request: Request) -> Iterator[NDArray[np.float64]]:
    """The request's own Sobol sequence in chunks [256, d]; depends on its seed and dimension only."""
    from scipy.stats import qmc

    engine = qmc.Sobol(request.space.dimension, scramble=True, rng=generator(request.seed, 0x50B01))
    for _ in range(_STREAM_LENGTH // _STREAM_CHUNK):
        yield np.asarray(engine.random(_STREAM_CHUNK), dtype=np.float64)


def random_stream(request: Request) -> Iterator[NDArray[np.float64]]:
    """Independent uniform points in chunks [256, d]; depends on the request's seed and dimension only."""
    rng = generator(request.seed, 0x0A2D)
    for _ in range(_STREAM_LENGTH // _STREAM_CHUNK):
        yield rng.random((_STREAM_CHUNK, request.space.dimension))
