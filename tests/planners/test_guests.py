"""BayBE, Ax and BoFire as strategies. CI installs none of them: what needs one is skipped there."""

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch

from planners import Archive, Observation, OneOutput, PlannerError, Request, SearchSpace, Strategy, Variable, strategy
from planners import guests as guests_module
from planners.ax import Ax
from planners.baybe import BayBE
from planners.evidence import Measured
from planners.guests import Cell, Table
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
    table = Table.of(request, measured, BayBE())
    assert [variable.kind for variable in table.variables] == ["continuous", "integer", "discrete", "categorical"]
    assert not table.minimised
    for row, x, utility in zip(table.rows, measured.x, table.utility, strict=True):
        assert MIXED.from_unit(table.unit(dict(row)))[0] == pytest.approx(x)
        assert row[table.variables[3].name] in table.variables[3].levels
        assert utility == pytest.approx(x[0] + 0.1 * x[1] + (x[3] == 1.0))


def test_a_failure_is_told_as_the_worst_reading_and_once() -> None:
    failed = dataclasses.replace(observe((0.1, 90.0, 30.0)), failed=True)
    told = (*(o for o in design(6) if not o.failed), failed, failed)
    request = Request(SPACE, OBJECTIVE, told)
    measured = Measured.of(request)
    assert len(Table.of(request, measured, BayBE()).rows) == len(measured), "nobody knows where its peak would lie"
    table = Table.of(request, measured, Ax())
    assert len(table.rows) == len(measured) + 1 == len(table.first) == len(table.utility)
    assert SPACE.from_unit(table.unit(table.rows[-1]))[0] == pytest.approx(failed.x)
    farthest = int(np.argmax(np.abs(measured.readings[:, 0] - OBJECTIVE.target_peak_ev)))
    assert table.first[-1] == measured.readings[farthest, 0]
    assert table.utility[-1] == table.utility[:-1].min()


def test_where_no_target_is_aimed_at_every_library_is_told_of_failures() -> None:
    told = (*mixed(8), Observation((0.5, 3.0, 3.0, 0.0, 2.0), failed=True))
    for wanted, worst in ((OneOutput("gain", "maximise"), min), (OneOutput("gain", "minimise"), max)):
        request = Request(MIXED, wanted, told)
        table = Table.of(request, Measured.of(request), BayBE())
        assert len(table.rows) == 9
        assert table.first[-1] == worst(table.first[:-1])


def test_a_recipe_that_failed_once_and_was_read_once_is_told_as_it_was_read() -> None:
    told = design(6)
    read = next(o for o in told if not o.failed)
    request = Request(SPACE, OBJECTIVE, (*told, dataclasses.replace(read, failed=True)))
    before = Table.of(Request(SPACE, OBJECTIVE, told), Measured.of(Request(SPACE, OBJECTIVE, told)), Ax())
    after = Table.of(request, Measured.of(request), Ax())
    assert after.rows == before.rows
    assert after.utility == pytest.approx(before.utility)


def test_archives_are_told_as_readings_and_what_is_under_way_as_pending() -> None:
    earlier, now, under_way = design(9)[3:], design(3), (0.3, 110.0, 50.0)
    request = Request(SPACE, OBJECTIVE, now, pending=(under_way,), archives=(Archive("spring", earlier),))
    measured = Measured.of(request)
    table = Table.of(request, measured, BayBE())
    kept = [o for o in earlier if not o.failed]
    archived = slice(len(measured), len(measured) + len(kept))
    assert table.first[archived].tolist() == [o.peak_ev for o in kept]
    for row, o in zip(table.rows[archived], kept, strict=True):
        assert SPACE.from_unit(table.unit(row))[0] == pytest.approx(o.x)
    (row,) = table.pending
    assert SPACE.from_unit(table.unit(row))[0] == pytest.approx(under_way)


def test_names_of_our_own_sort_as_those_of_the_chemist_do() -> None:
    named = guests_module._named(MIXED.variables)
    assert sorted(range(5), key=lambda i: named[i].name) == sorted(range(5), key=lambda i: MIXED.variables[i].name)
    levels = Variable("solvent", kind="categorical", levels=("2", "", "10", "nan"))
    (told,) = guests_module._named([levels])
    assert sorted(range(4), key=lambda i: told.levels[i]) == sorted(range(4), key=lambda i: levels.levels[i])
    assert all(told.levels)


def test_a_wide_whole_number_beside_a_continuous_variable_is_told_as_continuous_and_rounded() -> None:
    space = SearchSpace((Variable("volume", 0.0, 1.0), Variable("pulses", 1, 1000, kind="integer")))
    told = tuple(Observation((0.1 * i, 100.0 * i + 7.0), values=(float(i),)) for i in range(1, 7))
    request = Request(space, OneOutput("gain", "maximise"), told)
    table = Table.of(request, Measured.of(request), BayBE())
    assert [variable.kind for variable in table.variables] == ["continuous", "continuous"]
    for row, x in zip(table.rows, Measured.of(request).x, strict=True):
        assert space.from_unit(table.unit(dict(row)))[0] == pytest.approx(x)
    kinds = [variable.kind for variable in Table.of(request, Measured.of(request), Ax()).variables]
    assert kinds == ["continuous", "integer"]


def test_more_levels_than_a_library_can_go_through_are_refused_with_how_many_it_may_be() -> None:
    many = tuple(f"L{i}" for i in range(30))
    levels = tuple(Variable(name, kind="categorical", levels=many) for name in ("base", "ligand"))
    request = Request(SearchSpace((*levels, Variable("heat", 0.0, 1.0))), OneOutput("gain", "maximise"))
    with pytest.raises(PlannerError, match=r"baybe goes through all combinations .* here 900, at most 512 beside"):
        Table.of(request, Measured.of(request), BayBE())
    alone = dataclasses.replace(request, space=SearchSpace(levels))
    assert len(Table.of(alone, Measured.of(alone), BayBE()).variables) == 2


@dataclasses.dataclass(frozen=True)
class Strict(BayBE):
    """A guest whose library raises what it likes."""

    def ask(self, table: Table, seed: int) -> dict[str, Cell]:
        raise KeyError("output\n clashes")


def test_what_a_library_raises_is_said_in_one_line_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests_module, "installed", lambda _: None)
    with pytest.raises(PlannerError, match=r"^baybe could not propose: KeyError: .*output.* clashes'$"):
        Strict().propose(Request(SPACE, OBJECTIVE, design(9), initial=4))


STRANGE = {
    "a word of the library": (Variable("output", 0.0, 1.0), Variable("utility", 0.0, 1.0)),
    "values next to each other": (
        Variable("dose", kind="discrete", values=(0.0, 1e-14, 1.0)),
        Variable("valid_output", 0.0, 1.0),
    ),
    "a level without a name": (Variable("salt", kind="categorical", levels=("", "NaCl")), Variable("a b", 0.0, 1.0)),
    "a thousand whole numbers": (Variable("pulses", 1, 1000, kind="integer"), Variable("x", 0.0, 1.0)),
    "nothing free": (Variable("one", 1.0, 1.0), Variable("two", 2.0, 2.0)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", STRANGE)
def test_a_guest_takes_variables_that_its_library_would_stumble_over(name: str, kind: str) -> None:
    planner, space = guest(name), SearchSpace(STRANGE[kind])
    recipes = space.from_unit(np.random.default_rng(0).random((8, 2)))
    told = tuple(Observation(tuple(map(float, x)), values=(float(i % 3),)) for i, x in enumerate(recipes))
    proposal = planner.propose(Request(space, OneOutput("y", "maximise"), told, initial=1, seed=1))
    assert space.contains([proposal.x]).all()


def test_what_may_not_be_run_is_replaced_by_the_nearest_that_may() -> None:
    request = Request(SPACE, OBJECTIVE, design(9), feasible=lambda x: x[:, 0] < 0.5)
    asked = SPACE.to_unit([(0.6, 120.0, 40.0)])[0]
    point, moved = guests_module._runnable(request, Measured.of(request), asked, 1)
    assert moved
    assert SPACE.from_unit(point)[0, 0] < 0.5
    assert np.max(np.abs(point - asked)) < 0.2


def test_before_the_first_reading_of_its_own_a_campaign_has_the_places_of_its_archives_to_go_to() -> None:
    request = Request(SPACE, OBJECTIVE, feasible=lambda x: x[:, 0] < 0.5, archives=(Archive("spring", design(9)),))
    asked = SPACE.to_unit([(0.6, 120.0, 40.0)])[0]
    point, moved = guests_module._runnable(request, Measured.of(request), asked, 1)
    assert moved
    assert SPACE.from_unit(point)[0, 0] < 0.5


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


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_leaves_a_place_that_failed_and_one_that_is_under_way(name: str) -> None:
    planner = guest(name)
    told = tuple(Observation(o.x, values=(o.quantum_yield,)) for o in design(12) if o.quantum_yield is not None)
    request = Request(SPACE, OneOutput("quantum_yield", "maximise"), told, seed=3, initial=6)
    asked = planner.propose(request).x
    failed = dataclasses.replace(request, observations=(*told, Observation(asked, failed=True)))
    waiting = dataclasses.replace(request, pending=(asked,))
    for after in (failed, waiting):
        gap = SPACE.to_unit([planner.propose(after).x])[0] - SPACE.to_unit([asked])[0]
        assert np.linalg.norm(gap) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_that_has_an_archive_begins_where_it_lies_near_the_target(name: str) -> None:
    request = Request(SPACE, OBJECTIVE, seed=3, initial=6, archives=(Archive("spring", design(24)),))
    proposal = guest(name).propose(request)
    assert proposal.phase == "model"
    assert "told 0 recipes that gave a reading and" in proposal.reason
    assert abs((observe(proposal.x).peak_ev or 0.0) - OBJECTIVE.target_peak_ev) < 0.2
