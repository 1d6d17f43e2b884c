"""What ``validate`` and ``explain`` say of a file before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.archives import gather, learns_from_archives, left_out
from orchestrator.campaign.goal import sentence
from orchestrator.campaign.targets import targets_of
from orchestrator.config import UNITS, Input, LoadedCampaign, load_campaign, load_rig
from orchestrator.config.messages import KINDS, closest
from orchestrator.errors import ConfigError
from orchestrator.preflight.findings import PreflightReport, preflight
from orchestrator.preflight.reagent_budget import in_words as reagent_words
from orchestrator.yaml_source import parse, read_text

if TYPE_CHECKING:
    from orchestrator.config import RigConfig


_SHARES = " Each target gets an equal share of the experiments that those before it have left."
ACQUISITIONS = {
    "automatic": "",
    "expected_improvement": " It chooses by expected improvement.",
    "upper_confidence": " It chooses by upper confidence.",
    "thompson": " It chooses by Thompson sampling.",
}
COSTS = {
    "none": "",
    "per_ul": " Improvement is held against the µL of reagents that it costs.",
    "per_minute": " Improvement is held against the minutes that it costs.",
}


@dataclass(frozen=True)
class Checked:
    """A file that could be read, and what the pre-flight of a campaign found (None for a rig or pool file)."""

    path: Path
    what: str
    report: PreflightReport | None

    @property
    def ok(self) -> bool:
        """True when nothing keeps it from running."""
        return self.report is None or self.report.ok

    def as_dict(self) -> dict[str, Any]:
        """The outcome for ``--json``."""
        base: dict[str, Any] = {"file": str(self.path), "kind": self.what, "ok": self.ok}
        return base if self.report is None else {**base, **self.report.as_dict()}

    def text(self) -> str:
        """The outcome for a person."""
        if self.report is None:
            return f"{self.path}: a sound {self.what} file"
        lines = [f"problem: {problem}" for problem in self.report.problems]
        lines += [f"note: {warning.summary()}" for warning in self.report.warnings]
        lines.append(f"{self.path}: {'ready to run' if self.ok else 'cannot run as it stands'}")
        return "\n".join(lines)


def validate_file(path: Path) -> Checked:
    """Check a campaign file with its rig, or a rig or pool file by itself.

    Raises ConfigError with everything that is wrong.
    """
    document = parse(read_text(path), str(path))
    kind = document.root.get("kind")
    if kind is not None and kind.value == "daemon":
        message = "this is a daemon's file, which lumiflow doctor looks at"
        raise ConfigError([document.problem(("kind",), message, allowed="campaign, rig, pool")])
    if kind is not None and kind.value not in KINDS:
        allowed = [each for each in KINDS if each != "daemon"]
        near = closest(kind.text, KINDS)
        problem = document.problem(
            ("kind",), "no such kind of file", allowed=", ".join(allowed), suggestion=near if near in allowed else ""
        )
        raise ConfigError([problem])
    if kind is not None and kind.value == "rig":
        load_rig(path)
        return Checked(path, "rig", None)
    if kind is not None and kind.value == "pool":
        from orchestrator.pool import load_spec

        load_spec(path)
        return Checked(path, "pool", None)
    loaded = load_campaign(path)
    return Checked(path, "campaign", report_with(loaded, gather(loaded)))


def report_with(loaded: LoadedCampaign, found: Sequence[Mapping[str, Any]] | None) -> PreflightReport:
    """The preflight's report, and what is left out of the campaign's archives; None where they did not come along."""
    notes = left_out(loaded, found or ())
    if found is None and loaded.config.archives:
        message = "its experiments did not come along: they were not looked at"
        where = loaded.campaign_source.problem
        notes += tuple(where(("archives", name), message, at_key=True) for name in loaded.config.archives)
    report = preflight(loaded)
    return replace(report, warnings=(*report.warnings, *notes))


@dataclass(frozen=True)
class Explained:
    """What a campaign would do. ``archives``: how many experiments of each it would learn from."""

    loaded: LoadedCampaign
    report: PreflightReport
    archives: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The explanation for ``--json``."""
        config = self.loaded.config
        return {
            "campaign": config.name,
            "rig": self.loaded.rig.name,
            "target_ev": config.objective.aim.target_ev,
            "tolerance_ev": config.objective.aim.tolerance_ev,
            "targets": [{"target_ev": t.target_ev, "tolerance_ev": t.tolerance_ev} for t in targets_of(config)],
            "strategy": config.planner.strategy,
            "experiments": config.budget.experiments,
            "inputs": {
                name: {
                    "kind": entry.kind,
                    "low": entry.low,
                    "high": entry.high,
                    "unit": UNITS[entry.kind],
                    **({"levels": list(entry.levels)} if entry.levels else {}),
                    **({"values": list(entry.choices)} if entry.choices and not entry.levels else {}),
                }
                for name, entry in config.inputs.items()
            },
            "acquisition": config.planner.acquisition,
            "cost": config.planner.cost,
            "constraints": list(config.constraints),
            "archives": dict(self.archives),
            **self.report.as_dict(),
        }

    def text(self) -> str:
        """The explanation for a person."""
        config, rig, figures = self.loaded.config, self.loaded.rig, self.report.figures
        if config.objective.shape is not None:
            what = f"light around {config.objective.aim.target_ev:g} eV"
        else:
            peaks = (f"{t.target_ev:g} eV ± {1000 * t.tolerance_ev:g} meV" for t in targets_of(config))
            what = f"a peak at {', then at '.join(peaks)}"
        words = sentence(config)
        further = f", {words}," if words else ""
        lines = [
            f"{config.name}: {config.description}".rstrip(": "),
            "",
            f"Looks for {what}{further} on {rig.name}, choosing",
        ]
        for name, entry in config.inputs.items():
            lines.append(f"  {name:<20} {_span(entry)}{' (log)' if entry.scale == 'log' else ''}")
        if config.constraints:
            lines += ["where", *(f"  {constraint}" for constraint in config.constraints)]
        lines += [
            f"with the planner {config.planner.strategy!r} after {config.planner.initial} experiments that spread out"
            f"{_less(self.archives)}, for at most {config.budget.experiments} experiments or "
            f"{config.budget.reactor_time_s / 3600:g} h{reagent_words(config)}."
            + (_SHARES if config.objective.then else "")
            + ACQUISITIONS[config.planner.acquisition]
            + COSTS[config.planner.cost],
            "",
            _each_experiment(config.settle.residence_times, figures.experiment_s, rig),
            f"All of the budget takes about {figures.reactor_s / 3600:.1f} h of reactor time. "
            f"{_percent(figures.reachable_fraction)} of the sampled recipes can be set on this rig.",
            "",
            f"  {'pump':<10} {'stock':<18} {'syringe':>9} {'expected':>9} {'at worst':>9}   flow",
        ]
        for name, pump in figures.pumps.items():
            lines.append(
                f"  {name:<10} {pump.stock:<18} {pump.syringe_ul / 1000:>6.4g} mL {_ml(pump.expected_ul):>6} mL "
                f"{_ml(pump.worst_ul):>6} mL   {_flow(pump.lowest_flow_ul_min)} to "
                f"{_flow(pump.highest_flow_ul_min)} µL/min"
            )
        lines += [
            "",
            f"Pressure up to {figures.pressure_kpa:.0f} of {rig.limits.pressure_kpa:g} kPa; temperature limited to "
            f"{rig.limits.temperature_c[0]:g} to {rig.limits.temperature_c[1]:g} °C. Every way out ends in: "
            f"{', '.join(step.step for step in rig.safe_sequence)}.",
        ]
        lines += [f"problem: {problem.summary()}" for problem in self.report.problems]
        lines += [f"note: {warning.summary()}" for warning in self.report.warnings]
        return "\n".join(lines)


def _less(archives: Mapping[str, int]) -> str:
    """What the experiments of archives take off the initial design, in words."""
    parts = ", ".join(f"{name} ({count} experiments)" for name, count in archives.items())
    return f", less one for every recipe with a reading in the archives {parts}" if parts else ""


def _ml(volume_ul: float) -> str:
    """A volume in mL: with one decimal, with two digits where it is below one."""
    volume_ml = volume_ul / 1000.0
    return f"{volume_ml:.2g}" if 0.0 < volume_ml < 0.95 else f"{volume_ml:.1f}"


def _flow(flow_ul_min: float) -> str:
    """A flow in three digits; all of those before the point where there are more."""
    return f"{flow_ul_min:.3g}" if flow_ul_min < 999.5 else f"{flow_ul_min:.0f}"


def _percent(share: float) -> str:
    """A share in per cent; with two digits where it is below one."""
    return f"{100 * share:.2g} %" if 0.0 < share < 0.01 else f"{100 * share:.0f} %"


def _span(entry: Input) -> str:
    """The range of an input in words, or its values."""
    unit, few = UNITS[entry.kind], 8
    if entry.levels:
        return f"one of {', '.join(entry.levels)}"
    if not entry.choices:
        return f"{entry.low:g} to {entry.high:g} {unit}".rstrip()
    if len(entry.choices) > few:
        return f"{len(entry.choices)} values from {entry.low:g} to {entry.high:g} {unit}".rstrip()
    return f"{', '.join(f'{value:g}' for value in entry.choices)} {unit}".rstrip()


def explain_file(path: Path) -> Explained:
    """Work out what a campaign would do. Raises ConfigError with what is wrong with its files, archives included."""
    loaded = load_campaign(path)
    return explained(loaded, gather(loaded))


def explained(loaded: LoadedCampaign, found: Sequence[Mapping[str, Any]] | None) -> Explained:
    """What a campaign with these archives would do; None where they did not come along."""
    learns = found is not None and learns_from_archives(loaded.config)
    learnt = {each["name"]: len(each["rows"]) for each in found or ()} if learns else {}
    return Explained(loaded, report_with(loaded, found), learnt)


def _each_experiment(residence_times: float, experiment_s: tuple[float, float, float], rig: RigConfig) -> str:
    shortest, mean, longest = (seconds / 60.0 for seconds in experiment_s)
    volume = rig.plumbing.reactor.volume_ul + rig.plumbing.transit.volume_ul
    return (
        f"Each experiment heats under slow solvent, doses, waits {residence_times:g} residence times and the transit "
        f"to the detector ({volume:.0f} µL from the mixer), looks until the line stands still, and measures: "
        f"{shortest:.0f} to {longest:.0f} min, {mean:.0f} on average."
    )
