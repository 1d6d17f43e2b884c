"""Expected improvement over the members, upper confidence, and Thompson sampling."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch

from planners import Archive, Observation, OneOutput, PlannerError, Price, Request, SearchSpace, Variable, strategy
from planners.acquisition import Improvement, Thompson, UpperConfidence, log_expected_improvement
from planners.candidates import pool
from planners.data import Data
from planners.surrogate import fit_ensemble
from tests.planners.reactor import OBJECTIVE, SPACE, design

QUICK = {"members": 64, "hidden": 48, "spread": 96, "local": 96}


def test_it_is_the_mean_improvement_over_the_members() -> None:
    values = torch.tensor([[10.0, -5.0], [30.0, -5.0]], dtype=torch.float64)
    incumbent = torch.tensor([[0.0], [10.0]], dtype=torch.float64)
    assert np.isclose(log_expected_improvement(values, incumbent)[0].exp().item(), 15.0, rtol=1e-3)


def test_candidates_that_no_member_calls_an_improvement_are_still_ranked() -> None:
    values = torch.tensor([[-1e2, -1e4, -1e8]], dtype=torch.float64)
    ranked = log_expected_improvement(values, torch.zeros(1, 1, dtype=torch.float64))
    assert torch.isfinite(ranked).all()
    assert ranked[0] > ranked[1] > ranked[2]


def test_a_pending_experiment_leaves_less_to_gain_beside_it() -> None:
    request = Request(SPACE, OBJECTIVE, design(12))
    data = Data.of(request)
    model = fit_ensemble(data, members=10, hidden=16, steps=15, rng=np.random.default_rng(0))
    measured = data.unit[data.succeeded]
    points = np.random.default_rng(1).random((400, 3))
    alone = Improvement(request, model.predict, measured)
    best = points[[int(np.argmax(alone(points)))]]
    waiting = tuple(float(v) for v in SPACE.from_unit(best)[0])
    accompanied = Improvement(dataclasses.replace(request, pending=(waiting,)), model.predict, measured)
    assert accompanied(best)[0] < alone(best)[0] - 1.0


def test_an_extreme_is_looked_for_where_members_hope_for_it_and_pending_ones_are_hoped_for_no_more() -> None:
    told = tuple(Observation(o.x, values=(sum(o.x[:1]),)) for o in design(12))
    request = Request(SPACE, OneOutput("y", "maximise"), told)
    model = fit_ensemble(Data.of(request), members=32, hidden=32, steps=15, rng=np.random.default_rng(0))
    points = np.random.default_rng(1).random((400, 3))
    alone = UpperConfidence(request, model.predict)
    outputs, _ = model.predict(torch.from_numpy(points))
    mean, deviation = outputs[..., 0].mean(0).numpy(), outputs[..., 0].std(0).numpy()
    assert np.allclose(alone(points), mean + 2.0 * deviation)
    listed = dataclasses.replace(request, candidates=tuple(tuple(map(float, x)) for x in SPACE.from_unit(points)))
    assert np.allclose(UpperConfidence(listed, model.predict)(points), mean + deviation)
    best = points[[int(np.argmax(alone(points)))]]
    waiting = tuple(float(v) for v in SPACE.from_unit(best)[0])
    accompanied = UpperConfidence(dataclasses.replace(request, pending=(waiting,)), model.predict)
    assert np.allclose(accompanied(best), mean[np.argmax(alone(points))], atol=1e-4)
    assert (accompanied(points) <= alone(points) + 1e-9).all()


def test_thompson_takes_each_recipe_as_often_as_it_is_likely_to_be_the_best_one() -> None:
    request = Request(SPACE, OBJECTIVE, design(12))
    members = 400
    model = fit_ensemble(Data.of(request), members=members, hidden=48, steps=15, rng=np.random.default_rng(0))
    points = np.random.default_rng(1).random((40, 3))
    outputs, chance = model.predict(torch.from_numpy(points))
    assert chance.min() < chance.max()
    worst = min(float(OBJECTIVE.score_rows(np.array(o.readings))) for o in request.observations if not o.failed)
    utility = worst + chance * (OBJECTIVE.worth(outputs) - worst)
    best = Counter(utility.argmax(1).tolist())
    taken = Counter(int(np.argmax(Thompson(request, model.predict, j)(points))) for j in range(members))
    assert taken == best
    assert len(taken) > 3


def test_thompson_draws_another_member_for_every_proposal() -> None:
    planner = strategy("ensemble", **QUICK, acquisition="thompson")
    request = Request(SPACE, OBJECTIVE, design(8), initial=4)
    first = planner.propose(request)
    assert "Thompson" in first.acquisition
    assert planner.propose(request).x == first.x
    batch = [first.x]
    for _ in range(3):
        batch.append(planner.propose(dataclasses.replace(request, pending=tuple(batch))).x)
    apart = SPACE.to_unit(batch)
    assert min(np.abs(a - b).max() for i, a in enumerate(apart) for b in apart[:i]) > 0.01


def test_the_ensemble_chooses_by_what_it_is_told() -> None:
    request = Request(SPACE, OBJECTIVE, design(8), initial=4)
    said = {
        name: strategy("ensemble", **QUICK, acquisition=name).propose(request)
        for name in ("automatic", "expected_improvement", "upper_confidence", "thompson")
    }
    assert said["automatic"] == said["expected_improvement"]
    assert said["upper_confidence"].acquisition.startswith("upper confidence")
    assert "expected improvement" not in said["upper_confidence"].reason + said["thompson"].reason
    told = tuple(Observation(o.x, values=(o.x[0],)) for o in design(8))
    extreme = Request(SPACE, OneOutput("y", "maximise"), told, initial=4)
    planner = strategy("ensemble", **QUICK)
    assert planner.propose(extreme).acquisition.startswith("upper confidence")
    priced = dataclasses.replace(extreme, price=Price("µL", lambda rows: np.ones(len(rows))))
    assert planner.propose(priced).acquisition == "log expected improvement of utility × chance of a reading, per µL"


@pytest.mark.parametrize("acquisition", ["upper_confidence", "thompson"])
def test_before_its_first_reading_a_campaign_holds_recipes_against_those_of_an_archive(acquisition: str) -> None:
    request = Request(SPACE, OBJECTIVE, archives=(Archive("earlier", design(20)),))
    proposal = strategy("ensemble", **QUICK, acquisition=acquisition).propose(request)
    assert proposal.phase == "model"
    assert abs(proposal.predicted["peak_ev"].mean - OBJECTIVE.target_peak_ev) < 0.1


def test_an_acquisition_that_is_unknown_or_cannot_weigh_a_cost_is_refused() -> None:
    with pytest.raises(PlannerError, match="did you mean 'thompson'"):
        strategy("ensemble", acquisition="thomson")
    with pytest.raises(PlannerError, match="must be a word"):
        strategy("ensemble", acquisition=3)
    with pytest.raises(PlannerError, match="must be a whole number"):
        strategy("ensemble", members="many")
    priced = Request(SPACE, OBJECTIVE, design(8), initial=4, price=Price("µL", lambda rows: np.ones(len(rows))))
    with pytest.raises(PlannerError, match="does not weigh"):
        strategy("ensemble", **QUICK, acquisition="thompson").propose(priced)


def test_candidates_bracket_the_target_between_readings_on_either_side() -> None:
    request = Request(SPACE, OBJECTIVE)
    ends = np.array([[0.1, 0.1, 0.1], [0.9, 0.5, 0.3]])
    points = pool(request, ends, np.array([2.1, 2.4]), spread=16, local=240, rng=np.random.default_rng(0))
    along = (points - ends[0]) @ (ends[1] - ends[0]) / np.sum((ends[1] - ends[0]) ** 2)
    off = np.abs(points - (ends[0] + along[:, None] * (ends[1] - ends[0]))).max(1)
    between = np.sort(along[(off < 1e-9) & (along > 0) & (along < 1)])
    assert len(between) >= 20
    assert np.diff(between).max() < 0.1


def test_a_search_for_an_extreme_does_not_go_on_beside_the_best_recipe_that_it_knows() -> None:
    ligands = Variable("ligand", 0.0, 3.0, kind="categorical", levels=("a", "b", "c", "d"))
    space = SearchSpace((ligands, Variable("heat", 0.0, 1.0)))
    highest, where = (1.0, 0.2, 2.0, 0.3), (1.0, 0.5, 0.2, 0.7)

    def told(x: tuple[float, ...]) -> Observation:
        ligand = round(x[0])
        return Observation(x, values=(highest[ligand] * math.exp(-(((x[1] - where[ligand]) / 0.3) ** 2)),))

    planner = strategy("ensemble", **QUICK)
    wanted = OneOutput("y", "maximise", noise=0.01)
    tried = ((0.0, 0.3), (0.0, 0.7), (0.0, 0.9), (1.0, 0.2), (2.0, 0.9), (3.0, 0.4))
    found = 0
    for seed in range(4):
        observations = tuple(told(x) for x in tried)
        for _ in range(14):
            proposal = planner.propose(Request(space, wanted, observations, seed=seed, initial=4))
            observations = (*observations, told(proposal.x))
        found += max(o.readings[0] for o in observations) > 1.9
    assert found >= 2  # none, with one standard deviation
