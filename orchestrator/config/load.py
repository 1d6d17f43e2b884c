"""Reading configuration files: models to rely on, or everything that is wrong at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from orchestrator.config import references, rules
from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.messages import closest, of_another_kind, problems_of
from orchestrator.config.quantities import Section
from orchestrator.config.rig import RigConfig
from orchestrator.config.schema import Kind, json_schema
from orchestrator.config.target_file import Beside, with_target
from orchestrator.errors import ConfigError, Problem
from orchestrator.yaml_source import Document, parse, read_text

Model = TypeVar("Model", bound=Section)


@dataclass(frozen=True)
class LoadedCampaign:
    """A campaign and its rig, with the texts they came from; every check that needs no sampling has passed."""

    config: CampaignConfig
    rig: RigConfig
    campaign_path: Path
    rig_path: Path
    campaign_text: str
    rig_text: str
    campaign_source: Document = field(repr=False, compare=False)
    rig_source: Document = field(repr=False, compare=False)


def load_rig(path: str | Path) -> RigConfig:
    """Read a rig file. Raises ConfigError with everything that is wrong with it."""
    return _rig(parse(read_text(Path(path)), str(path)))


def parse_rig(text: str, name: str) -> RigConfig:
    """A rig from its text; the name only serves messages. Raises ConfigError with everything that is wrong with it."""
    return _rig(parse(text, name))


def load_campaign(path: str | Path, rig: str | Path | None = None) -> LoadedCampaign:
    """Read a campaign file and the rig file that it names, relative to itself; or ``rig`` in its place.

    Raises ConfigError with everything that is wrong with either.
    """
    campaign_path = Path(path)
    document = parse(read_text(campaign_path), str(path))
    named = document.root.get("rig")
    if named is None or not isinstance(named.value, str) or not named.value:
        # Without a rig there is still everything that the campaign file says wrong by itself.
        raise ConfigError(_own_problems(document, CampaignConfig, "campaign"))
    beside = Beside(folder=campaign_path.parent)
    if rig is not None:
        return _loaded(document, parse(read_text(Path(rig)), str(rig)), campaign_path, Path(rig), beside)
    rig_path = campaign_path.parent / named.value
    if not _is_file(rig_path):
        near = closest(rig_path.name, [sibling.name for sibling in _siblings(rig_path)])
        suggestion = str(Path(named.value).with_name(near)) if near else ""
        missing = document.problem(("rig",), "there is no such rig file", suggestion=suggestion)
        raise ConfigError(_in_order([missing, *_own_problems(document, CampaignConfig, "campaign")]))
    return _loaded(document, parse(read_text(rig_path), str(rig_path)), campaign_path, rig_path, beside)


def parse_campaign(
    text: str, name: str, rig_text: str, rig_name: str, target_spectrum: str | None = None
) -> LoadedCampaign:
    """A campaign and its rig from their texts, such as a journal keeps; the names only serve messages.

    ``target_spectrum``: what stood in the file that the objective names. No other file is read.

    Raises ConfigError with everything that is wrong with either.
    """
    beside = Beside(text=target_spectrum)
    return _loaded(parse(text, name), parse(rig_text, rig_name), Path(name), Path(rig_name), beside)


def _loaded(
    document: Document, rig_document: Document, campaign_path: Path, rig_path: Path, beside: Beside
) -> LoadedCampaign:
    problems: list[Problem] = []
    try:
        rig: RigConfig | None = _rig(rig_document)
    except ConfigError as error:
        rig = None
        problems += error.problems
    own = _own_problems(document, CampaignConfig, "campaign")
    if rig is not None:
        own += references.check_campaign(document, rig)
    if not own and rig is not None:
        config = CampaignConfig.model_validate(document.root.plain())
        config, own = with_target(document, config, beside)
    if not own and rig is not None:
        own += rules.check_campaign(document, config, rig)
        if not own:
            return LoadedCampaign(
                config, rig, campaign_path, rig_path, document.text, rig_document.text, document, rig_document
            )
    raise ConfigError([*_in_order(own), *problems])


def _rig(document: Document) -> RigConfig:
    problems = _own_problems(document, RigConfig, "rig", references.check_rig)
    if problems:
        raise ConfigError(problems)
    rig = RigConfig.model_validate(document.root.plain())
    problems = rules.check_rig(document, rig)
    if problems:
        raise ConfigError(_in_order(problems))
    return rig


def _own_problems(
    document: Document,
    model: type[Section],
    kind: Kind,
    check: Callable[[Document], list[Problem]] | None = None,
) -> list[Problem]:
    """What is wrong with a file by its model, and by a further check of the file as read."""
    if (other := of_another_kind(document, kind)) is not None:
        return [other]
    problems: list[Problem] = []
    try:
        model.model_validate(document.root.plain())
    except ValidationError as error:
        problems += problems_of(error, document, json_schema(kind))
    if check is not None:
        problems += check(document)
    return _in_order(problems)


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _is_file(path: Path) -> bool:
    """Whether there is such a file; no file has a name that the operating system does not take."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _siblings(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return []
