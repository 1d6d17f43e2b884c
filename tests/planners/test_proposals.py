"""What every strategy promises about its proposals."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from planners import (
    OUTPUTS,
    Objective,
    Observation,
    OneOutput,
    PlannerError,
    Proposal,
    Request,
    SearchSpace,
    Strategy,
    Variable,
    strategy,
    strategy_names,
    strategy_settings,
)
from planners.runner_up import runner_up, runner_up_words
from tests.planners.reactor import OBJECTIVE, SPACE, campaign, design, nearest_ev, observe

SMALL: dict[str, dict[str, int]] = {
    "ensemble": {"members": 10, "hidden": 16, "steps": 20, "spread": 256, "local": 256},
    "forest": {"trees": 10, "spread": 64, "local": 64},
    "gp": {"samples": 16, "spread": 64, "local": 64},
    "gp_scalar": {"spread": 64, "local": 64},
    "kriging": {"spread": 64, "local": 64},
    "boosting": {"bags": 2, "spread": 64, "local": 64},
    "support_vectors": {"bags": 4, "spread": 64, "local": 64},
    "snobfit": {},
    "genetic": {},
    "cma_es": {},
    "nelder_mead": {},
    "latin": {},
    "random": {},
    "sobol": {},
}
GUESTS = ("baybe", "ax", "bofire")
"""Strategies of other projects, which tests/planners/test_guests.py tries where they are installed."""
NAMES = tuple(SMALL)


def small(name: str) -> Strategy:
    return strategy(name, **SMALL[name])


def test_the_names_are_the_ones_promised() -> None:
    assert set(strategy_names()) == {*NAMES, *GUESTS}
    assert [small(name).name for name in NAMES] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_request_gives_the_same_answer_whatever_ran_before(name: str) -> None:
    request = Request(SPACE, OBJECTIVE, design(10), pending=((0.4, 100.0, 30.0),), seed=5, initial=6)
    first = small(name).propose(request)
    torch.rand(7)
    strategy("ensemble", **SMALL["ensemble"]).propose(dataclasses.replace(request, seed=6))
    assert small(name).propose(request) == first
    assert small(name).recommend(request) == small(name).recommend(request)


@pytest.mark.parametrize("name", NAMES)
def test_no_global_random_state_or_setting_is_touched(name: str) -> None:
    request = Request(SPACE, OBJECTIVE, design(10), seed=5, initial=6)
    legacy = str(np.random.get_state(legacy=False))
    torch_state, grad, dtype = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
    small(name).propose(request)
    small(name).recommend(request)
    assert str(np.random.get_state(legacy=False)) == legacy
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (grad, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_design(name: str) -> None:
    assert small(name).propose(Request(SPACE, OBJECTIVE, seed=1)) != small(name).propose(
        Request(SPACE, OBJECTIVE, seed=2)
    )


def test_every_strategy_starts_from_the_same_design() -> None:
    designs = {
        small(name).propose(Request(SPACE, OBJECTIVE, seed=3)).x for name in NAMES if name not in ("random", "latin")
    }
    assert len(designs) == 1


def test_the_initial_design_counts_recipes_and_not_replicates() -> None:
    once = design(5)
    replicated = (*once, once[0], once[0], once[0])
    assert small("ensemble").propose(Request(SPACE, OBJECTIVE, replicated, initial=6)).phase == "initial"
    assert small("ensemble").propose(Request(SPACE, OBJECTIVE, design(6), initial=6)).phase == "model"


def test_a_model_proposal_says_what_it_expects_and_why() -> None:
    proposal = small("ensemble").propose(Request(SPACE, OBJECTIVE, design(10), initial=6))
    assert tuple(proposal.predicted) == OUTPUTS
    assert all(p.low <= p.mean <= p.high for p in proposal.predicted.values())
    assert proposal.probability_feasible is not None
    assert 0.0 <= proposal.probability_feasible <= 1.0
    assert proposal.compared > 300
    assert proposal.acquisition_value is not None
    for piece in (
        f"{proposal.predicted['peak_ev'].mean:.4f} eV",
        "2.2500 eV",
        "chance",
        f"best of {proposal.compared}",
    ):
        assert piece in proposal.reason


def test_a_proposal_says_whether_it_exploits_or_explores_how_likely_it_is_good_enough_and_how_new_it_is() -> None:
    observations = design(10)
    proposal = small("ensemble").propose(Request(SPACE, OBJECTIVE, observations, initial=6))
    reason = proposal.reason
    told = re.search(r"a (\d+) % chance of a reading and (\d+) % of one within the tolerance", reason)
    assert told is not None and int(told[2]) <= int(told[1])
    assert re.search(r"; (exploits: on average a better|explores: on average no better) ", reason)
    said = re.search(r"([\d.]+) % of the range of ([\w ]+) from the nearest recipe that gave a reading", reason)
    assert said is not None
    done = SPACE.to_unit([o.x for o in observations if not o.failed])
    gaps = np.abs(done - SPACE.to_unit([proposal.x])[0])
    nearest = gaps[np.argmin(gaps.max(axis=1))]
    assert said[2] == SPACE.names[int(np.argmax(nearest))].replace("_", " ")
    assert float(said[1]) == pytest.approx(100 * nearest.max(), abs=0.06)


def test_another_level_is_told_as_another_level_and_whole_numbers_by_their_range() -> None:
    from planners.evidence import Measured
    from planners.wording import _distance

    mixed = SearchSpace(
        (
            Variable("ligand", kind="categorical", levels=("none", "oleic", "octanoic")),
            Variable("washes", 1.0, 4.0, kind="integer"),
            Variable("flow", 0.0, 1.0),
        )
    )

    def said(x: tuple[float, ...], *run: tuple[float, ...]) -> str:
        told = tuple(Observation(place, values=(1.0,)) for place in run)
        request = Request(mixed, OneOutput("y", "maximise", noise=0.01), told)
        return _distance(request, mixed.to_unit([x])[0], Measured.of(request))

    assert said((0, 1, 0.5), (2, 1, 0.5)) == "another ligand than in the recipes nearest to it that gave a reading"
    assert said((0, 1, 0.5), (0, 4, 0.5)).startswith("100.0 % of the range of washes")
    # The same ligand at another flow is nearer than another ligand at the same flow, whatever the order of the levels.
    assert said((0, 1, 0.5), (1, 1, 0.5), (0, 1, 0.1)).startswith("40.0 % of the range of flow")


def test_a_proposal_between_readings_that_rise_towards_it_exploits() -> None:
    line = SearchSpace((Variable("x", 0.0, 1.0),))
    wanted = OneOutput("y", "maximise", noise=0.01)

    def asked(places: tuple[float, ...]) -> str:
        told = tuple(Observation((x,), values=(-10.0 * (x - 0.6) ** 2,)) for x in places)
        return small("gp").propose(Request(line, wanted, told, initial=len(told))).reason

    assert "exploits" in asked((0.0, 0.2, 0.4, 0.5, 0.8, 0.9, 1.0))


@pytest.mark.parametrize("name", NAMES)
def test_only_allowed_recipes_inside_the_space_are_proposed(name: str) -> None:
    request = Request(
        SPACE, OBJECTIVE, design(10), initial=6, feasible=lambda x: np.asarray((x[:, 0] > 0.7) & (x[:, 1] < 90.0))
    )
    proposal = small(name).propose(request)
    assert proposal.x[0] > 0.7
    assert proposal.x[1] < 90.0
    assert SPACE.contains([proposal.x]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_rig_that_allows_nothing_is_told_so(name: str) -> None:
    request = Request(SPACE, OBJECTIVE, design(10), initial=6, feasible=lambda x: np.zeros(len(x), dtype=np.bool_))
    with pytest.raises(PlannerError, match="is allowed"):
        small(name).propose(request)


def test_an_answer_of_another_shape_from_feasible_is_refused() -> None:
    request = Request(SPACE, OBJECTIVE, feasible=lambda x: np.ones(3, dtype=np.bool_))
    with pytest.raises(PlannerError, match="one bool for each"):
        small("sobol").propose(request)


def test_a_pending_recipe_is_not_proposed_again() -> None:
    request = Request(SPACE, OBJECTIVE, design(10), initial=6)
    first = small("ensemble").propose(request)
    second = small("ensemble").propose(dataclasses.replace(request, pending=(first.x,)))
    gap = np.abs(SPACE.to_unit([first.x]) - SPACE.to_unit([second.x])).max()
    assert gap > 1e-3


def test_a_campaign_never_repeats_a_recipe_and_reaches_the_target() -> None:
    observations = campaign(small("ensemble"), 14)
    assert len({o.x for o in observations}) == 14
    assert nearest_ev(observations) < 0.005


def test_the_target_inside_the_acquisition_beats_a_score_learnt_as_a_whole() -> None:
    composite = [nearest_ev(campaign(small("ensemble"), 11, seed)) for seed in range(3)]
    scalar = [nearest_ev(campaign(small("gp_scalar"), 11, seed)) for seed in range(3)]
    assert np.median(composite) < 0.5 * np.median(scalar)


def test_a_target_beyond_the_edge_of_the_failures_does_not_lure_it_in() -> None:
    space = SearchSpace((Variable("ratio", 0.0, 1.0),))
    bright = tuple(Observation((x,), 2.0 + 0.4 * x, 0.1, 0.5, 0.001) for x in (0.0, 0.1, 0.25, 0.4, 0.5, 0.6))
    dark = tuple(Observation((x,), failed=True) for x in (0.75, 0.8, 0.9, 1.0))
    aim = Objective(target_peak_ev=2.38, tolerance_ev=0.005)  # where the line through the peaks has long gone dark
    for name in ("ensemble", "gp"):
        lured = small(name).propose(Request(space, aim, bright, initial=2))
        taught = small(name).propose(Request(space, aim, bright + dark, initial=2))
        assert lured.x[0] > 0.9
        assert taught.x[0] < 0.75
        assert taught.probability_feasible is not None


def test_of_a_grid_almost_all_visited_the_last_recipe_is_proposed() -> None:
    space = SearchSpace((Variable("a", 1, 4, kind="integer"), Variable("b", 1, 4, kind="integer")))
    cells = [(float(a), float(b)) for a in range(1, 5) for b in range(1, 5)]
    done = tuple(Observation(c, 2.1 + 0.05 * c[0], 0.1, 0.5) for c in cells if c != (1.0, 4.0))
    for name in ("ensemble", "forest", "gp", "sobol"):
        assert small(name).propose(Request(space, OBJECTIVE, done, initial=3)).x == (1.0, 4.0)


def _observations(kind: str) -> tuple[Observation, ...]:
    recipes = [o.x for o in design(8)]
    return {
        "none": (),
        "one": (Observation(recipes[0], 2.2, 0.1, 0.5),),
        "constant": tuple(Observation(x, 2.2, 0.1, 0.5) for x in recipes),
        "duplicates": tuple(Observation(recipes[i % 2], 2.2 + 0.1 * (i % 2), 0.1, 0.5) for i in range(8)),
        "all failed": tuple(Observation(x, failed=True) for x in recipes),
        "all but two failed": tuple(
            Observation(x, 2.2 + i if i < 2 else None, 0.1, 0.5) for i, x in enumerate(recipes)
        ),
        "only peaks": tuple(Observation(x, 2.2 + 0.01 * i) for i, x in enumerate(recipes)),
        "not a number": tuple(
            Observation(x, 2.2 + 0.01 * i if i % 2 else float("nan"), float("inf"), float("nan"), float("nan"))
            for i, x in enumerate(recipes)
        ),
        "absurd": tuple(Observation(x, 10.0 ** (i * 4), 1e9, -1e9, 0.0) for i, x in enumerate(recipes)),
        "contradictory": tuple(Observation(recipes[0], 1.9 + 0.1 * i, 0.1, 0.5, 0.001) for i in range(4))
        + tuple(Observation(x, 2.0, 0.1, 0.5) for x in recipes[1:]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "one",
        "constant",
        "duplicates",
        "all failed",
        "all but two failed",
        "only peaks",
        "not a number",
        "absurd",
        "contradictory",
    ],
)
@pytest.mark.parametrize("name", ["ensemble", "forest", "gp", "gp_scalar"])
def test_hostile_observations_still_give_a_proposal(name: str, kind: str) -> None:
    observations = _observations(kind)
    request = Request(SPACE, OBJECTIVE, observations, initial=2)
    proposal = small(name).propose(request)
    assert SPACE.contains([proposal.x]).all()
    assert proposal.x not in {o.x for o in observations}
    if any(not o.failed for o in observations):
        assert SPACE.contains([small(name).recommend(request).x]).all()
    else:
        with pytest.raises(PlannerError, match="nothing to recommend"):
            small(name).recommend(request)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_without_freedom_proposes_its_only_recipe(name: str) -> None:
    space = SearchSpace((Variable("temperature_c", 90.0, 90.0), Variable("cycles", 1, 2, kind="integer")))
    done = (Observation((90.0, 1.0), 2.2, 0.1, 0.5), Observation((90.0, 2.0), 2.3, 0.1, 0.5))
    proposal = small(name).propose(Request(space, OBJECTIVE, done, initial=2))
    assert proposal.x in {(90.0, 1.0), (90.0, 2.0)}


def test_whole_number_variables_are_proposed_whole() -> None:
    space = SearchSpace((Variable("ratio", 0.0, 1.0), Variable("cycles", 1, 9, kind="integer")))
    done = tuple(Observation((i / 6, 1.0 + i), 2.0 + 0.08 * i, 0.1, 0.5) for i in range(7))
    x = small("ensemble").propose(Request(space, OBJECTIVE, done, initial=4)).x
    assert x[1] == round(x[1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: strategy("ensembel"), "did you mean 'ensemble'"),
        (lambda: strategy("ensemble", member=3), "did you mean 'members'"),
        (lambda: strategy("sobol", members=3), "no setting 'members'"),
        (lambda: strategy("ensemble", members=1), "at least 2"),
        (lambda: strategy("gp", samples=0), "at least 1"),
        (lambda: strategy("ensemble", steps=True), "whole number"),
        (lambda: strategy_settings("gpp"), "did you mean 'gp'"),
        (lambda: Request(SPACE, OBJECTIVE, (Observation((1.0, 2.0), 2.2),)), "2 coordinates"),
        (lambda: Request(SPACE, OBJECTIVE, pending=((1.0, 2.0, float("nan")),)), "finite"),
        (lambda: Request(SPACE, OBJECTIVE, seed=-1), "seed"),
        (lambda: Request(SPACE, OBJECTIVE, initial=0), "initial"),
        (lambda: Observation((float("nan"),), 2.2), "finite"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_what_is_allowed(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(PlannerError, match=says):
        call()


def test_the_settings_of_a_strategy_can_be_listed() -> None:
    members = strategy_settings("ensemble")["members"]
    assert isinstance(members, int)
    assert members >= 10
    assert strategy_settings("sobol") == {}


def test_importing_the_planners_leaves_the_heavy_libraries_alone() -> None:
    code = (
        "import sys, planners; planners.strategy('ensemble'); "
        "print([m for m in ('torch', 'botorch', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sobol_proposal_needs_no_torch() -> None:
    code = (
        "import sys; from planners import *; s = SearchSpace((Variable('a', 0.0, 1.0),)); "
        "strategy('sobol').propose(Request(s, Objective(2.2, 0.005))); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_proposals_are_plain_values() -> None:
    proposal = small("ensemble").propose(Request(SPACE, OBJECTIVE, design(10), initial=6))
    assert isinstance(proposal, Proposal)
    assert all(type(value) is float for value in proposal.x)
    assert type(proposal.acquisition_value) is float
    assert type(proposal.compared) is int


def test_a_reason_names_the_runner_up_and_how_much_less_it_promises() -> None:
    """Of listed candidates the second-best is known; the ranking of the proposal and that of the rest say it alike."""
    told = design(8)
    listed = tuple(each.x for each in design(30, seed=7))
    planner = strategy("ensemble", **SMALL["ensemble"])
    request = Request(SPACE, OBJECTIVE, told, initial=6, candidates=(*(each.x for each in told), *listed))
    proposal = planner.propose(request)
    said = re.search(
        r"Runner-up: (.+) instead of (.+), with ([\d.e+-]+) % less expected improvement\.$", proposal.reason
    )
    assert said is not None, proposal.reason
    assert 0.0 <= float(said[3]) <= 100.0


def test_the_runner_up_is_elsewhere_and_not_the_next_pixel() -> None:
    request = Request(SPACE, OBJECTIVE, design(8))
    points = np.array([[0.5, 0.5, 0.5], [0.51, 0.5, 0.5], [0.9, 0.5, 0.5], [0.1, 0.1, 0.1]])
    found = runner_up(request, points, np.log([1.0, 0.99, 0.75, 0.5]), 0)
    assert found is not None
    assert found[0].tolist() == [0.9, 0.5, 0.5]
    words = runner_up_words(request, points[0], 0.0, found, logarithmic=True)
    assert words == " Runner-up: halide ratio 0.9 instead of 0.5, with 25 % less expected improvement."
    assert runner_up(request, points[:2], np.zeros(2), 0) is None
    far = runner_up_words(request, points[0], 1.0, (points[3], 0.75), logarithmic=False)
    assert far.endswith("and temperature c 72 degC instead of 120 degC, with an acquisition value lower by 0.25.")


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_kriging_surveys_and_aims_in_turn_in_batches_too(batch: int) -> None:
    told, turns = design(6), ""
    while len(turns) < 8:
        waiting: tuple[tuple[float, ...], ...] = ()
        for _ in range(batch):
            request = Request(SPACE, OBJECTIVE, told, pending=waiting, seed=3, initial=6)
            proposal = small("kriging").propose(request)
            turns += "s" if proposal.acquisition.startswith("kriging deviation") else "a"
            waiting = (*waiting, proposal.x)
        told = (*told, *map(observe, waiting))
    assert turns == "sasasasa"
