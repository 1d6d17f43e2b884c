"""The first event of a run: everything that the run depends on, and the way back from it to a configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.goal import sentence
from orchestrator.campaign.targets import labels, targets_of
from orchestrator.config import UNITS, LoadedCampaign, parse_campaign
from orchestrator.config.campaign import MOST_SEED
from orchestrator.config.objective_rules import check_objective
from orchestrator.config.planner_rules import not_installed
from orchestrator.errors import UsageRefused
from orchestrator.history.run_state import RECKONING
from orchestrator.rig.rig import flushes_ul

if TYPE_CHECKING:
    from pydantic import ValidationError

    from orchestrator.config import CampaignConfig


@dataclass(frozen=True)
class Overrides:
    """What the command line says instead of the campaign file; None leaves the file's own."""

    seed: int | None = None
    target: str | None = None
    strategy: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def applied(self, loaded: LoadedCampaign) -> LoadedCampaign:
        """The campaign with the overrides in place. Raises UsageRefused for what the file could not say either."""
        put = self.repeated(loaded)
        if self.seed is not None and not 0 <= self.seed <= MOST_SEED:
            raise UsageRefused(f"--seed {self.seed}: from 0 to {MOST_SEED}")
        if self.target is not None:
            for problem in check_objective(loaded.campaign_source, put.config, put.rig):
                allowed = f" (allowed: {problem.allowed})" if problem.allowed else ""
                raise UsageRefused(f'--target "{self.target}": {problem.message}{allowed}')
        missing = "" if self.strategy is None else not_installed(self.strategy)
        if missing:
            raise UsageRefused(f'--strategy "{self.strategy}": {missing}')
        return put

    def repeated(self, loaded: LoadedCampaign) -> LoadedCampaign:
        """As `applied`, of a run that has begun: it is read as it was, also where it would not begin today.

        Raises UsageRefused for what no campaign could be made of.
        """
        config = loaded.config
        if self.seed is not None:
            config = config.model_copy(update={"seed": self.seed})
        if self.target is not None:
            config = _aimed(config, self.target)
        if self.strategy is not None:
            config = _planned(config, self.strategy)
        return replace(loaded, config=config)


def _aimed(config: CampaignConfig, target: str) -> CampaignConfig:
    """The configuration with another target, read by the same model that reads the file."""
    from pydantic import ValidationError

    from orchestrator.config.objective import PeakTarget

    if config.objective.shape is not None:
        raise UsageRefused(f'--target "{target}": this campaign has a target spectrum; a peak cannot take its place')

    tolerance = f"{config.objective.aim.tolerance_ev!r} eV"
    try:
        peak = PeakTarget.model_validate({"target": target, "tolerance": tolerance})
    except ValidationError as error:
        raise _refused("target", target, error) from None
    return config.model_copy(update={"objective": config.objective.model_copy(update={"peak": peak, "then": ()})})


def _planned(config: CampaignConfig, strategy: str) -> CampaignConfig:
    """The configuration with another strategy; settings belong to the one that the file names."""
    from pydantic import ValidationError

    from orchestrator.config.campaign import CHOOSES_BY, WEIGHS_COST, PlannerConfig

    try:
        cost = config.planner.cost if strategy in WEIGHS_COST else "none"
        acquisition = config.planner.acquisition if strategy in CHOOSES_BY else "automatic"
        said = {"strategy": strategy, "initial": config.planner.initial, "cost": cost, "acquisition": acquisition}
        checked = PlannerConfig.model_validate(said)
    except ValidationError as error:
        raise _refused("strategy", strategy, error) from None
    return config.model_copy(update={"planner": checked})


def _refused(option: str, value: str, error: ValidationError) -> UsageRefused:
    from orchestrator.config.messages import refusal

    return UsageRefused(f'--{option} "{value}": {refusal(error, value)}')


def header_of(
    loaded: LoadedCampaign,
    overrides: Overrides,
    *,
    hardware: bool,
    missing_ul: Mapping[str, float] | None = None,
    archives: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Data of the ``run_started`` event. ``missing_ul``: what the syringes lack of being full, where that is known.

    ``archives``: see ``orchestrator.campaign.archives.gather``.
    """
    from orchestrator.origin import installed_version

    config = loaded.config
    targets = targets_of(config)
    stocks = {
        name: {"stock": config.syringes.get(name, pump.stock), "syringe_ul": pump.holds_ul}
        for name, pump in loaded.rig.pumps.items()
    }
    texts = f"{loaded.campaign_text}\0{loaded.rig_text}\0{sorted(overrides.given.items())}"
    known: dict[str, Any] = {"missing_ul": dict(missing_ul)} if missing_ul else {}
    shape = config.objective.shape
    if shape is not None and shape.file is not None and shape.text is not None:
        digest = hashlib.sha256(shape.text.encode()).hexdigest()
        known["target_spectrum"] = {"file": shape.file, "text_sha256": digest, "text": shape.text}
    if shape is not None:
        known["judged_by"] = "light"
    if not loaded.rig.detector.sees_emission:
        known["spectra"] = "absorption"
    words = sentence(config)
    if words:
        known["wanted"] = words
    if archives:
        known["archives"] = [dict(archive) for archive in archives]
    return {
        **known,
        "campaign_name": config.name,
        "campaign_text": loaded.campaign_text,
        "rig_text": loaded.rig_text,
        "campaign_file": loaded.campaign_path.name,
        "rig_file": loaded.rig_path.name,
        "overrides": overrides.given,
        "config_sha256": hashlib.sha256(texts.encode()).hexdigest(),
        "seed": config.seed,
        "strategy": config.planner.strategy,
        **({"cost": config.planner.cost} if config.planner.cost != "none" else {}),
        "mode": "hardware" if hardware else "twin",
        "lumiflow_version": installed_version("lumiflow"),
        "target_ev": config.objective.aim.target_ev,
        "tolerance_ev": config.objective.aim.tolerance_ev,
        **({"targets": [labels(config, index) for index in range(len(targets))]} if len(targets) > 1 else {}),
        "inputs": [
            {
                "name": name,
                "unit": UNITS[entry.kind],
                "low": entry.low,
                "high": entry.high,
                "scale": entry.scale,
                **({"levels": list(entry.levels)} if entry.levels else {}),
                **({"values": list(entry.choices)} if entry.choices and not entry.levels else {}),
            }
            for name, entry in config.inputs.items()
        ],
        **({"constraints": list(config.constraints)} if config.constraints else {}),
        "stocks": stocks,
        "reserve_ul": flushes_ul(loaded.rig),
        "reckoning": RECKONING,
        "budget": {
            "experiments": config.budget.experiments,
            "reactor_time_s": config.budget.reactor_time_s,
            "reagent_ul": dict(config.budget.reagent_ul or {}),
        },
    }


def loaded_from(data: Mapping[str, Any]) -> LoadedCampaign:
    """The campaign that a ``run_started`` event describes, overrides applied."""
    spectrum = data.get("target_spectrum", {}).get("text")
    loaded = parse_campaign(data["campaign_text"], data["campaign_file"], data["rig_text"], data["rig_file"], spectrum)
    return Overrides(**data.get("overrides", {})).repeated(loaded)


def brief(header: Mapping[str, Any]) -> dict[str, Any]:
    """The first event's data for those who listen: without the texts of the files and the rows of the archives."""
    kept = {key: value for key, value in header.items() if key not in ("campaign_text", "rig_text")}
    if "archives" in kept:
        kept["archives"] = [{key: archive[key] for key in archive if key != "rows"} for archive in kept["archives"]]
    return kept
