"""Points of the unit cube: seeded Sobol sequences, and the filter by what the rig may run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.records import Request

SAME_POINT = 1e-6
"""Recipes closer than this in every unit coordinate are one recipe, unless both are listed as candidates."""

_FEW = 200
"""So many points are compared each with each; more go through a tree."""

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
    return request.space.to_unit(run_or_pending(request))


def distinct(unit: NDArray[np.float64]) -> NDArray[np.int64]:
    """Group number [n] of each unit point [n, d]; replicates share one. Groups are numbered by first appearance."""
    if len(unit) > _FEW:
        return _distinct_of_many(unit)
    groups = np.empty(len(unit), dtype=np.int64)
    heads: list[int] = []
    for i, point in enumerate(unit):
        same = np.flatnonzero(np.max(np.abs(unit[heads] - point), axis=1, initial=0.0) <= SAME_POINT)
        groups[i] = same[0] if len(same) else len(heads)
        if len(same) == 0:
            heads.append(i)
    return groups


def _distinct_of_many(unit: NDArray[np.float64]) -> NDArray[np.int64]:
    """As `distinct`, by a tree: few of many points are replicates."""
    from scipy.spatial import cKDTree

    twins: dict[int, list[int]] = {}
    for first, second in sorted(cKDTree(unit).query_pairs(SAME_POINT, p=np.inf)):
        twins.setdefault(second, []).append(first)
    groups = np.empty(len(unit), dtype=np.int64)
    heads: set[int] = set()
    for i in range(len(unit)):
        head = next((j for j in twins.get(i, ()) if j in heads), None)
        groups[i] = len(heads) if head is None else groups[head]
        if head is None:
            heads.add(i)
    return groups


def unvisited(unit: NDArray[np.float64], seen: NDArray[np.float64], distance: float = SAME_POINT) -> NDArray[np.bool_]:
    """Which unit points [n, d] differ from all of `seen` [k, d] by more than `distance` in some coordinate: [n]."""
    if len(seen) == 0 or len(unit) == 0:
        return np.ones(len(unit), dtype=np.bool_)
    if len(seen) > _FEW:
        from scipy.spatial import cKDTree

        near, _ = cKDTree(seen).query(unit, p=np.inf, distance_upper_bound=2.0 * distance)
        return np.asarray(near > distance, dtype=np.bool_)
    gaps = np.max(np.abs(unit[:, None, :] - seen[None, :, :]), axis=2)
    return np.asarray(np.min(gaps, axis=1) > distance, dtype=np.bool_)


def listed(request: Request) -> NDArray[np.float64]:
    """Unit coordinates [N, d] of the candidates that the request lists, in their order."""
    return request.space.to_unit(request.candidates or ())


def as_recipe(request: Request, unit: NDArray[np.float64]) -> tuple[float, ...]:
    """A unit point [d] -> a recipe in raw units: a listed candidate as it was listed, and of several at one place the
    first that was not run."""
    if request.candidates is not None:
        gaps = np.max(np.abs(listed(request) - unit), axis=1)
        nearest = np.flatnonzero(gaps == np.min(gaps))
        if len(nearest) > 1:
            nearest = nearest[np.argsort(_had(request)[nearest], kind="stable")]
        return tuple(float(value) for value in request.candidates[int(nearest[0])])
    return tuple(float(value) for value in request.space.from_unit(unit)[0])


def recipe_groups(request: Request, recipes: Sequence[tuple[float, ...]]) -> NDArray[np.int64]:
    """Group number [n] of each recipe [n]; replicates share one. Groups are numbered by first appearance.

    Of a request that lists candidates, those that are the same candidate are replicates, however near another one is.
    """
    places = distinct(request.space.to_unit(recipes))
    if request.candidates is None:
        return places
    which = _candidates_of(request, recipes)
    keys = np.where(which >= 0, which, len(request.candidates) + places)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group], dtype=np.int64)


def started(request: Request) -> int:
    """How many different recipes were run or are pending."""
    return len(set(recipe_groups(request, run_or_pending(request)).tolist()))


def run_or_pending(request: Request) -> list[tuple[float, ...]]:
    """Every recipe that was run or is pending, replicates included."""
    return [observation.x for observation in request.observations] + list(request.pending)


def _candidates_of(request: Request, recipes: Sequence[tuple[float, ...]]) -> NDArray[np.int64]:
    """Index of the listed candidate that each recipe [k] is: the first one that is the same number by number, else the
    nearest within SAME_POINT; -1 where there is none."""
    first: dict[tuple[float, ...], int] = {}
    for index, candidate in enumerate(request.candidates or ()):
        first.setdefault(tuple(candidate), index)
    found = np.array([first.get(tuple(recipe), -1) for recipe in recipes], dtype=np.int64)
    strange = np.flatnonzero(found < 0)
    if len(strange):
        points = listed(request)
        for row, place in zip(strange, request.space.to_unit([recipes[int(row)] for row in strange]), strict=True):
            gaps = np.max(np.abs(points - place), axis=1)
            if np.min(gaps) <= SAME_POINT:
                found[row] = int(np.argmin(gaps))
    return found


def _had(request: Request) -> NDArray[np.bool_]:
    """Which of the listed candidates [N] were run or are pending."""
    candidates = request.candidates or ()
    run = {tuple(candidates[index]) for index in _candidates_of(request, run_or_pending(request)) if index >= 0}
    return np.array([tuple(candidate) in run for candidate in candidates], dtype=np.bool_)


def remaining(request: Request) -> NDArray[np.float64]:
    """The listed candidates [N, d] that are allowed and were not visited.

    Raises:
        PlannerError: none is left.
    """
    points = listed(request)
    left = points[~_had(request)]
    if len(left) == 0:
        raise PlannerError(f"every one of the {len(points)} candidates has been run")
    left = left[allowed(request, left)]
    if len(left) == 0:
        raise PlannerError(f"none of the {len(points)} candidates that is left is allowed")
    return left


def spread_order(request: Request, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order [N] of candidates [N, d] that fills their space: each is the nearest left to the next Sobol point."""
    return _nearest_to(request, points, sobol_stream(request))


def latin_order(request: Request, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order [N] of candidates [N, d]: each is the nearest left to the next point of a Latin hypercube."""
    return _nearest_to(request, points, latin_stream(request))


def _nearest_to(
    request: Request, points: NDArray[np.float64], stream: Iterator[NDArray[np.float64]]
) -> NDArray[np.int64]:
    order: list[int] = []
    left = np.arange(len(points))
    features = request.space.encode(points)
    for chunk in stream:
        for place in request.space.encode(snap(request, chunk)):
            nearest = int(np.argmin(np.sum((features[left] - place) ** 2, axis=1)))
            order.append(int(left[nearest]))
            left = np.delete(left, nearest)
            if len(left) == 0:
                return np.array(order, dtype=np.int64)
    return np.concatenate([np.array(order, dtype=np.int64), left])


def next_in_order(request: Request, order: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """The first of the listed candidates, in this order [N], that is allowed and was not visited, as a unit point, and
    how many there are.

    Raises:
        PlannerError: none is left.
    """
    remaining(request)
    points = listed(request)
    left = order[~_had(request)[order]]
    return points[left[allowed(request, points[left])][0]], len(points)


@dataclass(frozen=True)
class Drawn:
    """A unit point [d] of a stream, how many points of it were looked at, and whether it has not been visited yet."""

    point: NDArray[np.float64]
    looked: int
    fresh: bool

    @property
    def repeat_words(self) -> str:
        """What is to be said of a point that was visited; "" of a fresh one."""
        if self.fresh:
            return ""
        return f" All that are allowed among {self.looked} points are run or under way, this one as seldom as any."


def next_in_stream(request: Request, stream: Iterator[NDArray[np.float64]], tag: str) -> Drawn:
    """The first allowed and unvisited point of a stream of unit points.

    When every allowed point of the stream has been visited, the least visited one: there are few whole numbers, or
    little is allowed.

    Raises:
        PlannerError: no allowed point in the whole stream.
    """
    seen = visited(request)
    looked = 0
    permitted: list[NDArray[np.float64]] = []
    for chunks in _together(stream):
        points = snap(request, np.concatenate(chunks))
        open_to = np.flatnonzero(allowed(request, points))
        fresh = open_to[unvisited(points[open_to], seen)]
        if len(fresh):
            ends = np.cumsum([len(chunk) for chunk in chunks])
            return Drawn(points[fresh[0]], looked + int(ends[np.searchsorted(ends, fresh[0], side="right")]), True)
        looked += len(points)
        permitted.append(points[open_to[:_STREAM_CHUNK]])
    known = np.concatenate(permitted) if permitted else np.empty((0, request.space.dimension))
    if len(known) == 0:
        raise PlannerError(f"{tag}: none of {looked} recipes over the whole search space is allowed")
    from scipy.spatial import cKDTree

    visits = cKDTree(seen).query_ball_point(known, SAME_POINT, p=np.inf, return_length=True)
    return Drawn(known[int(np.argmin(visits))], looked, False)


def _together(stream: Iterator[NDArray[np.float64]]) -> Iterator[list[NDArray[np.float64]]]:
    """The chunks of a stream, as many at a time as make up 256 points at most: to ask for few at a time takes long."""
    waiting: list[NDArray[np.float64]] = []
    for chunk in stream:
        waiting.append(chunk)
        if (len(waiting) + 1) * len(chunk) > _STREAM_CHUNK:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


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


def latin_stream(request: Request) -> Iterator[NDArray[np.float64]]:
    """Latin hypercubes of `request.initial` points [k, d], one after the other; depends on seed and dimension only."""
    from scipy.stats import qmc

    d = request.space.dimension
    engine = qmc.LatinHypercube(d, rng=generator(request.seed, 0x1A71))
    if request.initial == 1:  # a uniform point, as the engine would draw it: to ask it for each takes long
        for _ in range(_STREAM_LENGTH // _STREAM_CHUNK):
            yield from 1.0 - engine.rng.uniform(size=(_STREAM_CHUNK, 1, d))
        return
    for _ in range(max(1, _STREAM_LENGTH // request.initial)):
        yield np.asarray(engine.random(request.initial), dtype=np.float64)
