"""Spaces that have room for few recipes: hardly anything is allowed, or there are few levels."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from planners import Objective, Observation, OneOutput, Proposal, Request, SearchSpace, Strategy, Variable, strategy
from tests.planners.reactor import OBJECTIVE, SPACE
from tests.planners.test_proposals import small
from tests.planners.test_recommendations import far

CUBE = SearchSpace(tuple(Variable(name, 0.0, 1.0) for name in "abc"))
REPEATED = "All that are allowed among 65536 points are run or under way, this one as seldom as any."
AIM = Objective(2.25, 0.005)


def on_a_sheet(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of the 65,536 points of the Sobol sequence with seed 1, five lie on it."""
    return np.asarray(np.abs(x.sum(axis=1) - 1.0) <= 1e-4)


def proposed(planner: Strategy, count: int) -> list[Proposal]:
    """What it proposes one after the other, read without noise."""
    told: tuple[Observation, ...] = ()
    proposals = []
    for _ in range(count):
        request = Request(CUBE, AIM, told, seed=1, initial=8, feasible=on_a_sheet)
        proposals.append(planner.propose(request))
        x = proposals[-1].x
        told += (Observation(x, 1.9 + x[0], 0.1, 0.5),)
    return proposals


@pytest.mark.parametrize("name", ["ensemble", "gp", "forest"])
def test_an_initial_design_without_a_new_recipe_gives_way_to_the_model(name: str) -> None:
    proposals = proposed(small(name), 12)
    assert len({proposal.x for proposal in proposals}) == 12
    assert [proposal.phase for proposal in proposals] == ["initial"] * 5 + ["model"] * 7
    assert all(abs(sum(proposal.x) - 1.0) <= 1e-4 for proposal in proposals)


def test_a_search_takes_over_there_too_and_says_when_it_repeats_a_recipe() -> None:
    proposals = proposed(strategy("nelder_mead"), 8)
    assert [proposal.phase for proposal in proposals] == ["initial"] * 5 + ["model"] * 3
    before = {proposal.x for proposal in proposals[:5]}
    assert all((proposal.x in before) == (REPEATED in proposal.reason) for proposal in proposals[5:])


def test_a_model_that_repeats_a_recipe_says_so() -> None:
    space = SearchSpace((Variable("ligand", kind="categorical", levels=("a", "b", "c")),))
    told = tuple(Observation((float(i),), values=(1.0 + i,)) for i in range(3))
    proposal = small("ensemble").propose(Request(space, OneOutput("y", "maximise"), told, initial=8))
    assert (proposal.phase, REPEATED in proposal.reason) == ("model", True)


def test_a_design_that_repeats_a_recipe_says_so() -> None:
    *_, fifth, sixth = proposed(strategy("sobol"), 6)
    assert "not among the 4 already run" in fifth.reason
    assert REPEATED in sixth.reason


@pytest.mark.parametrize(
    ("variable", "runs"),
    [(Variable("ligand", kind="categorical", levels=tuple("abcdefgh")), 45), (Variable("n", 1, 5, kind="integer"), 60)],
)
def test_snobfit_comes_to_an_end_where_no_room_is_left(variable: Variable, runs: int) -> None:
    least, levels = (0.0, 8) if variable.levels else (1.0, 5)
    told = tuple(Observation((least + i % levels,), values=(1.0 + i % levels,)) for i in range(runs))
    request = Request(SearchSpace((variable,)), OneOutput("y", "maximise"), told, initial=3)
    assert strategy("snobfit").propose(request).acquisition == "space filling"


def test_a_model_of_the_score_alone_says_of_its_recipe_that_the_score_is_best() -> None:
    recommended = strategy("gp_scalar").recommend(Request(SPACE, OBJECTIVE, far(12)))
    assert recommended.basis == "model"
    assert "the model expects the best score here, with a" in recommended.reason
    assert "nan" not in recommended.reason


@pytest.mark.parametrize(("off", "said"), [(0.25, "with 100 % probability"), (0.26, "with 0 % probability")])
def test_a_reading_that_states_no_noise_is_inside_or_not(off: float, said: str) -> None:
    space = SearchSpace((Variable("a", 0.0, 1.0),))
    told = tuple(Observation((x,), values=(y,), peak_sd_ev=0.0) for x, y in ((0.1, 0.5 + off), (0.2, 3.0), (0.3, 4.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recommended = strategy("random").recommend(Request(space, OneOutput("y", "target", 0.5, 0.25), told))
    assert (recommended.x, said in recommended.reason) == ((0.1,), True)
