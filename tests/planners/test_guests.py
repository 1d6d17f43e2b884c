"""BayBE, Ax and BoFire as strategies. CI installs none of them: what needs one is skipped there."""

import importlib.util

import numpy as np
import pytest
import torch

from planners import Observation, OneOutput, PlannerError, Request, SearchSpace, Strategy, Variable, strategy
from planners import guests as guests_module
from planners.evidence import Measured
from planners.guests import Table
from tests.planners.reactor import OBJECTIVE, SPACE, design, observe

MIXED = SearchSpace(
    (
        Variable("fraction", 0.0, 1.0),
        Variable("cycles", 1, 6, kind="integer"),
        Variable("dilution", kind="discrete", values=(1.0, 3.0, 10.0), scale="log"),
        Variable("ligand", kind="categorical", levels=("oleate", "phosphonate", "zwitterion")),
        Variable("fixed", 2.0, 2.0),
    )
)
NAMES = ("baybe", "ax", "bofire")


def guest(name: str) -> Strategy:
    pytest.importorskip(name)
    return strategy(name)


def mixed(count: int) -> tuple[Observation, ...]:
    """Experiments on a space of every kind of variable."""
    recipes = MIXED.from_unit(np.random.default_rng(1).random((count, 5)))
    return tuple(Observation(tuple(map(float, x)), values=(x[0] + 0.1 * x[1] + (x[3] == 1.0),)) for x in recipes)


@pytest.mark.parametrize("name", NAMES)
def test_a_library_that_is_missing_is_refused_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PlannerError, match=rf"pip install 'lumiflow\[{name}\]'"):
        strategy(name).propose(Request(SPACE, OBJECTIVE))


def test_what_a_library_is_told_comes_back_as_the_recipe_it_was() -> None:
    request = Request(MIXED, OneOutput("gain", "maximise"), mixed(12))
    measured = Measured.of(request)
    table = Table.of(request, measured)
    assert [variable.name for variable in table.variables] == ["fraction", "cycles", "dilution", "ligand"]
    assert not table.minimised
    for row, x, utility in zip(table.rows, measured.x, table.utility, strict=True):
        assert MIXED.from_unit(table.unit(dict(row)))[0] == pytest.approx(x)
        assert row["ligand"] in ("oleate", "phosphonate", "zwitterion")
        assert utility == pytest.approx(x[0] + 0.1 * x[1] + (x[3] == 1.0))


def test_what_may_not_be_run_is_replaced_by_the_nearest_that_may() -> None:
    request = Request(SPACE, OBJECTIVE, design(9), feasible=lambda x: x[:, 0] < 0.5)
    asked = SPACE.to_unit([(0.6, 120.0, 40.0)])[0]
    point, moved = guests_module._runnable(request, Measured.of(request), asked, 1)
    assert moved
    assert SPACE.from_unit(point)[0, 0] < 0.5
    assert np.max(np.abs(point - asked)) < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_asks_near_the_target_and_the_same_every_time_and_leaves_no_trace(name: str) -> None:
    planner = guest(name)
    request = Request(SPACE, OBJECTIVE, design(12), seed=3, initial=6)
    legacy, torch_state = str(np.random.get_state(legacy=False)), torch.get_rng_state()
    dtype = torch.get_default_dtype()
    proposal = planner.propose(request)
    assert proposal.phase == "model"
    assert str(np.random.get_state(legacy=False)) == legacy
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert torch.get_default_dtype() == dtype
    assert planner.propose(request).x == pytest.approx(proposal.x)
    seen = observe(proposal.x)
    assert seen.failed or abs((seen.peak_ev or 0.0) - OBJECTIVE.target_peak_ev) < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_takes_every_kind_of_variable(name: str) -> None:
    planner = guest(name)
    request = Request(MIXED, OneOutput("gain", "maximise"), mixed(9), seed=3, initial=6)
    proposal = planner.propose(request)
    assert MIXED.contains([proposal.x]).all()
    assert planner.recommend(request).x in {o.x for o in request.observations}


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_chooses_among_listed_candidates(name: str) -> None:
    planner = guest(name)
    candidates = tuple(o.x for o in design(30))
    request = Request(SPACE, OBJECTIVE, design(9), seed=3, initial=6, candidates=candidates)
    assert planner.propose(request).x in candidates[9:]
