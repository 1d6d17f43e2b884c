"""What a person sees while a campaign runs: one line an experiment, and the recipe at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.campaign.targets import OUTCOME_WORDS, all_tried
from orchestrator.console.outlet import print_json, standard_output, tell

if TYPE_CHECKING:
    from orchestrator.campaign.deciders import Comparison
    from orchestrator.history.run_state import RunState
    from orchestrator.journal.journal import Event
    from orchestrator.sittings.replay import ReplayResult
    from orchestrator.sittings.runner import RunResult

STAGES = {
    "connected": "connecting the devices",
    "filling": "filling the line with solvent for dark and blank",
    "blank_taken": "asking the planner",
    "proposed": "checking the proposal",
    "dosing": "heating, dosing and waiting for steady state",
    "settled": "measuring",
    "measured": "analysing",
    "told": "asking the planner",
    "stopping": "bringing the rig to its safe state",
    "safe_done": "choosing the recipe to recommend",
}
STOP_WORDS = {
    "target_reproduced": "target reached and reproduced",
    "budget_experiments": "the budget of experiments is spent",
    "budget_time": "the budget of reactor time is spent",
    "budget_reagent": "the budget of reagent is spent",
    "reagent": "out of reagent",
    "plateau": "no further progress",
    "out_of_reach": "the target is out of reach, says the planner",
    "operator": "stopped by the operator",
    "fault": "fault",
}


class Show:
    """Progress and result on standard output. With ``as_json``: silence, and one line of JSON at the end.

    Where standard output takes no more, it is silent from then on; no method fails because of that.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = standard_output()
        # Paths and places such as file.yaml:100:5 are printed as they are: neither is markup, and :100: is no emoji.
        self._console = Console(
            file=cast("IO[str]", self._out), highlight=False, quiet=as_json, markup=False, emoji=False
        )
        self._status = self._console.status("starting") if self._out.isatty() and not as_json else None
        self._target_ev = 0.0
        self._tolerance_ev = 0.0
        self._units: dict[str, str] = {}
        self._levels: dict[str, list[str]] = {}
        self._recipes: dict[int, tuple[str, Mapping[str, float]]] = {}
        self._notes: list[str] = []
        self._out_of_reach = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Every note so far, each once: the line of JSON has them too."""
        return tuple(dict.fromkeys(self._notes))

    def note(self, words: str) -> None:
        """What a person should know of this run, beside its experiments."""
        self._notes.append(words)
        self.say(f"note: {words}")

    def say(self, words: str) -> None:
        """A remark outside the stream of experiments."""
        self._console.print(words, style="dim")

    def warn(self, words: str) -> None:
        """What a script must not miss either: on standard error, with JSON too."""
        tell(f"lumiflow: {words}")

    def event(self, event: Event) -> None:
        """Hear of one journalled event."""
        data = event.data
        stage = STAGES.get(event.kind)
        if self._status is not None and stage is not None:
            self._status.update(f"{_clock(event.t_s)}  {stage} …")
        if event.kind == "run_started":
            self._begin(data)
        elif event.kind == "proposed":
            self._name(data["n"], data["of"], str(data["phase"]), data["recipe"])
            self._aim(data)
            self._reach(data)
        elif event.kind == "refused":
            self._line(data["n"], event.t_s, Text(f"refused: {data['reason']}", style="yellow"))
        elif event.kind == "analysed":
            self._line(data["n"], event.t_s, self._reading(data))
        elif event.kind == "in_doubt":
            self.say(f"experiment {data['n']} was interrupted: its reagent counts as spent, and it runs again")
        elif event.kind == "disturbed":
            self.say(f"experiment {data['n']} was disturbed ({', '.join(data['by'])}) and runs again")
        elif event.kind == "reference_checked" and data["outcome"] != "steady":
            read = ", ".join(str(n) for n in data["covers"]) or "none"
            self.say(f"reference {data['outcome']} ({100 * data['shift']:+.1f} %), read since: experiments {read}")
        elif event.kind == "target_done":
            self._out_of_reach = False
            outcome = OUTCOME_WORDS.get(data["reason"], data["reason"])
            words = f"{self._target_ev:g} eV {outcome}: {data['detail']}"
            self._console.print(Text(words, style="bold green" if data["reason"] == "target_reproduced" else "yellow"))
        elif event.kind == "trip":
            self._console.print(
                Text(
                    f"INTERLOCK {data['interlock']} on {data['device']}: {data['value']} {data['unit']}",
                    style="bold red",
                )
            )
        elif event.kind == "safe_step" and not data["ok"]:
            self._console.print(Text(f"safe sequence: {data['step']} failed: {data['detail']}", style="bold red"))
        elif event.kind == "ended":
            if self._status is not None:
                self._status.stop()
            if "unrecommended" in data:
                self.note(f"no recipe is recommended: {data['unrecommended']}")

    def goes_on(self, state: RunState) -> None:
        """Hear of a run that goes on: what its earlier events have said, and that they are not shown again."""
        if not state.header:
            return
        self._begin(state.header)
        wanted = {"target_ev": state.target_ev, "tolerance_ev": state.tolerance_ev}
        self._aim({key: value for key, value in wanted.items() if value is not None})
        self._out_of_reach = bool(state.out_of_reach(state.target))
        for experiment in state.experiments:
            self._name(experiment.n, experiment.of, experiment.phase, experiment.recipe)
        self.say(f"goes on; experiments done so far: {len(state.told)}")

    def finished(self, result: RunResult) -> None:
        """The end: recipe, reason, report."""
        if self._status is not None:
            self._status.stop()
        if self._as_json:
            print_json(result.as_dict())
            return
        facts = result.as_dict()
        reached = result.exit_code == 0
        headline = STOP_WORDS.get(str(facts["stop_reason"]), str(facts["stop_reason"]))
        if all_tried(result.state):
            headline = "every target was reached and reproduced" if reached else "not every target was reached"
        self._console.print()
        self._console.print(Text(headline[0].upper() + headline[1:], style="bold green" if reached else "bold yellow"))
        if result.detail:
            self._console.print(Text(f"  {result.detail}", style="dim"))
        if result.state.safe is False:
            words = "  The safe sequence did not complete. Look at the rig: heater off? pumps stopped?"
            self._console.print(Text(words, style="bold red"))
        for found in facts.get("targets", (facts,)):
            if "target_ev" in found:
                outcome = OUTCOME_WORDS.get(found["outcome"], str(found["outcome"]))
                self._console.print(f"  for {found['target_ev']:g} eV ({outcome}, {_experiments(found)})")
            if found["recipe"]:
                self._console.print(_recipe_table(found))
        self._console.print(
            f"  {_experiments(facts)}, {_clock(facts['reactor_s'])} of reactor time, "
            f"{sum(facts['reagent_ul'].values()) / 1000:.1f} mL of liquids, {facts['wall_s']:.1f} s on the wall's clock"
            + (" in this sitting" if result.state.sittings > 1 else "")
        )
        self._console.print(f"  journal  {facts['journal']}", soft_wrap=True)
        if result.report is not None:
            self._console.print(f"  report   {result.report}", soft_wrap=True)

    def compared(self, comparison: Comparison) -> None:
        """Hear of one decision of a replay."""
        subject = comparison.what if comparison.n is None else f"{comparison.what} {comparison.n}"
        verdict = "same" if comparison.agrees else f"DIFFERS by {comparison.largest_difference:.3g} of the range"
        self._console.print(Text(f"      {subject}: {verdict}", style="dim" if comparison.agrees else "bold yellow"))

    def replayed(self, result: ReplayResult) -> None:
        """The end of a replay."""
        if self._status is not None:
            self._status.stop()
        if self._as_json:
            print_json(result.as_dict())
            return
        self._console.print()
        self._console.print(Text(result.words(), style="bold green" if result.same else "bold yellow"))

    def _begin(self, data: Mapping[str, Any]) -> None:
        self._target_ev, self._tolerance_ev = data["target_ev"], data["tolerance_ev"]
        self._units = {entry["name"]: entry["unit"] for entry in data["inputs"]}
        self._levels = {entry["name"]: entry["levels"] for entry in data["inputs"] if "levels" in entry}
        further = "".join(f", then {target['target_ev']:g} eV" for target in data.get("targets", ())[1:])
        if data.get("wanted"):
            further += f", {data['wanted']}"
        near = f" ± {1000 * self._tolerance_ev:.4g} meV" if data.get("judged_by") is None else ""
        where = "on twins" if data["mode"] == "twin" else "ON HARDWARE"
        self._console.print(
            Text.assemble(
                (str(data["campaign_name"]), "bold"),
                f": {self._target_ev:g} eV{near}{further}, planner {data['strategy']}, seed {data['seed']}, {where}",
            )
        )
        if self._status is not None:
            self._status.start()

    def _name(self, n: int, of: int | None, phase: str, recipe: Mapping[str, float]) -> None:
        """What to call an experiment, and its recipe, for when it is read."""
        self._recipes[n] = (phase if of is None else f"repeat of {of}", recipe)

    def _aim(self, data: Mapping[str, Any]) -> None:
        """Where there are several targets, a proposal says which one it is for."""
        self._target_ev = data.get("target_ev", self._target_ev)
        self._tolerance_ev = data.get("tolerance_ev", self._tolerance_ev)

    def _reach(self, data: Mapping[str, Any]) -> None:
        """The verdict that the target is out of reach, and that it is taken back: each when it begins."""
        verdict = data.get("out_of_reach")
        if data["of"] is None and (verdict is not None) is not self._out_of_reach:
            self._out_of_reach = verdict is not None
            words = str(verdict["reason"]) if verdict is not None else "The target no longer counts as out of reach."
            self._console.print(Text(words, style="yellow"))

    def _line(self, n: int, t_s: float, reading: Text) -> None:
        label, recipe = self._recipes.get(n, ("", {}))
        named = [(name, unit) for name, unit in self._units.items() if name in recipe]
        inputs = "  ".join(f"{name} {_number(self._named(name, recipe[name]), unit)}" for name, unit in named)
        head = Text.assemble((f"{n:>4}  {_clock(t_s)}  ", "dim"), f"{label:<12} ", reading)
        # A recipe that fits beside its reading stands there, else below it.
        beside = head.cell_len + 2 + len(inputs) <= self._console.width
        self._console.print(Text.assemble(head, "  " if beside else f"\n{'':15}", (inputs, "dim")), soft_wrap=True)

    def _named(self, name: str, value: float) -> float | str:
        return self._levels[name][int(value)] if name in self._levels else value

    def _reading(self, data: Mapping[str, Any]) -> Text:
        if data["peak_ev"] is None:
            return Text(f"{'no reading: ' + str(data['reason']):<44}", style="yellow")
        error = data["peak_ev"] - self._target_ev
        bright = "   –  " if data["quantum_yield"] is None else f"{100 * data['quantum_yield']:4.0f} %"
        words = f"{data['peak_ev']:.4f} eV {1000 * error:+8.1f} meV  {1000 * data['fwhm_ev']:4.0f} meV wide {bright}"
        miss = abs(error)
        if data.get("shape") is not None:
            miss = data["shape"]["distance_ev"]
            words += f"  light {1000 * miss:.1f} meV off"
        if not data["accepted"]:
            return Text(f"{words} ({data['reason']})", style="yellow")
        return Text(words, style="bold green" if miss <= self._tolerance_ev else "")


def _recipe_table(facts: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=2)
    table.add_column()
    table.add_column(justify="right")
    for name, entry in facts["recipe"].items():
        table.add_row("", name, _number(entry["value"], entry["unit"]))
    if facts["peak_ev"] is not None:
        never = ", expected: never run" if facts["basis"] == "model" else ""
        words = f"{facts['peak_ev']:.4f} eV ({facts['error_mev']:+.2f} meV){never}"
        table.add_row("", "peak", Text(words, style="bold"))
    if "displacement_mev" in facts:
        words = f"displaced by {facts['displacement_mev']:.1f} meV, {100 * facts['overlap']:.0f} % shared"
        table.add_row("", "light", words)
    if facts["fwhm_mev"] is not None:
        table.add_row("", "width (FWHM)", f"{facts['fwhm_mev']:.0f} meV")
    if facts["yield"] is not None:
        table.add_row("", "relative yield", f"{100 * facts['yield']:.0f} %")
    return table


def _number(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g} {unit}".rstrip()


def _clock(seconds: float) -> str:
    """Reactor time as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _experiments(found: Mapping[str, Any]) -> str:
    count = found["experiments"]
    return "1 experiment" if count == 1 else f"{count} experiments"
