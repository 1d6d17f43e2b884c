"""What a run has come to, in one flat object: for `--json`, the report and the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.history.run_state import Experiment, Recommendation, RunState

Best = Callable[[int], Experiment | None]
"""The best experiment for one of a run's targets, from 1."""


def summary(state: RunState, best: Best | None = None) -> dict[str, Any]:
    """The run in one flat object, for `--json`.

    Keys: stop_reason, experiments (told), recipe ({name: {"value", "unit"}} in the file's own inputs), peak_ev,
    error_mev (peak minus target), fwhm_mev, yield, reactor_s, reagent_ul (by stock, debits included). The recipe is the
    recommended one; without a recommendation, that of the best experiment: ``best`` says which one that is for a target
    (from 1), and without it that is the nearest. `basis`: "reproduced" (measured more than once), "measured" (once) or
    "model" (never run: its numbers are predictions). `out_of_reach`: the planner's verdict that no recipe reaches the
    target, a sentence. What is not known is None.

    A campaign with a target spectrum adds displacement_mev, how far the recipe's light is displaced on average, and
    overlap, the share that both have in common.

    With several targets those are of the one that the run is at or ended with, and `targets` holds one object for each:
    target_ev, tolerance_ev, outcome (None while it is not done with), experiments, and recipe to yield as above.
    """
    best = state.best_for if best is None else best
    several = {"targets": [_of_target(state, index + 1, best) for index in range(len(state.targets))]}
    return {
        "stop_reason": state.stop_reason,
        "experiments": len(state.told),
        **_found(state, state.target, best),
        "reactor_s": state.reactor_s,
        "reagent_ul": state.by_stock(state.spent_ul),
        **(several if len(state.targets) > 1 else {}),
    }


def _of_target(state: RunState, target: int, best_for: Best) -> dict[str, Any]:
    wanted = state.targets[target - 1]
    outcome = next((str(done["reason"]) for done in state.targets_done if done["target"] == target), None)
    return {
        "target_ev": wanted["target_ev"],
        "tolerance_ev": wanted["tolerance_ev"],
        "outcome": outcome,
        "experiments": sum(experiment.target == target for experiment in state.told),
        **_found(state, target, best_for),
    }


def _found(state: RunState, target: int, best_for: Best) -> dict[str, Any]:
    """The recipe for a target, and what it gives."""
    peak = fwhm = quantum_yield = error = None
    recipe: Mapping[str, float] = {}
    advice, best = state.recommended(target), best_for(target)
    if advice is not None:
        recipe, error = advice.recipe, advice.error_ev
        peak, fwhm, quantum_yield = (_known(advice, name) for name in ("peak_ev", "fwhm_ev", "quantum_yield"))
    elif best is not None:
        recipe, peak, fwhm, quantum_yield = best.recipe, best.peak_ev, best.fwhm_ev, best.quantum_yield
    measured = None if advice is None else advice.measured
    shape: Mapping[str, Any] | None = measured if measured and "distance_ev" in measured else None
    if advice is None and best is not None:
        shape = best.shape
    target_ev = state.aim(target, "target_ev")
    if error is None and peak is not None and target_ev is not None:
        error = peak - target_ev
    units = {str(entry["name"]): str(entry.get("unit", "")) for entry in state.inputs}
    basis = None if best is None else "measured"
    return {
        "recipe": {
            name: {"value": state.named(name, value), "unit": units.get(name, "")} for name, value in recipe.items()
        },
        "basis": basis if advice is None else advice.basis or None,
        "out_of_reach": state.out_of_reach(target) or None,
        "peak_ev": peak,
        "error_mev": None if error is None else 1e3 * error,
        "fwhm_mev": None if fwhm is None else 1e3 * fwhm,
        "yield": quantum_yield,
        **({} if shape is None else {"displacement_mev": 1e3 * shape["distance_ev"], "overlap": shape["overlap"]}),
    }


def _known(advice: Recommendation, name: str) -> float | None:
    """A measured value of the recommended recipe, else its predicted mean."""
    measured = (advice.measured or {}).get(name)
    if measured is not None:
        return float(measured)
    predicted = advice.predicted.get(name)
    return None if predicted is None else float(predicted["mean"])
