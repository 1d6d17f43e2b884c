"""The file of a target spectrum: read when a campaign file is, and out of the journal ever after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.messages import closest
from orchestrator.config.objective import MOST_TEXT
from orchestrator.errors import ConfigError, Problem
from orchestrator.yaml_source import Document, parse, read_text
from orchestrator.yaml_words import lines_of


@dataclass(frozen=True)
class Beside:
    """Where a file that a campaign names is to be had: in a folder, or as the text that was read from it earlier."""

    folder: Path | None = None
    text: str | None = None


def with_target(document: Document, config: CampaignConfig, beside: Beside) -> tuple[CampaignConfig, list[Problem]]:
    """The campaign with the content of its target spectrum's file, and what is wrong with that file."""
    shape = config.objective.shape
    if shape is None:
        return config, []
    path = ("objective", "shape")
    if (shape.file is None) == (shape.text is None):
        message = "a target spectrum comes from a file or stands here as text: give one of the two"
        return config, [document.problem(path, message, at_key=True, allowed="file or text")]
    if shape.file is None:
        return config, []
    try:
        text = _read(shape.file, beside)
    except ValueError as error:
        return config, [document.problem((*path, "file"), str(error), suggestion=_near(shape.file, beside.folder))]
    objective = config.objective.model_copy(update={"shape": shape.model_copy(update={"text": text})})
    return config.model_copy(update={"objective": objective}), []


def carried(path: Path) -> str:
    """The text of a campaign file, with its target spectrum in it in place of the file's name.

    Raises ConfigError where the campaign cannot be read, or its target spectrum cannot.
    """
    document = parse(read_text(path), str(path))
    where = ("objective", "shape", "file")
    key, node, reached = document.find(where)
    if len(reached) < len(where) or not isinstance(node.value, str):
        return document.text
    try:
        content = _read(node.value, Beside(folder=path.parent))
    except ValueError as error:
        near = _near(node.value, path.parent)
        raise ConfigError([document.problem(where, str(error), suggestion=near)]) from None
    lines = lines_of(document.text)
    line, at = lines[node.line - 1], node.column - 1
    written = next((each for each in _spellings(node.value) if line[at:].startswith(each)), None)
    if written is None or key.line != node.line:
        message = "write the file's name plainly, on the line of its key: the spectrum is to take its place"
        raise ConfigError([document.problem(where, message)])
    lines[node.line - 1] = f"{line[: key.column - 1]}text: {json.dumps(content)}{line[at + len(written) :]}"
    return "".join(lines)


def _near(file: str, folder: Path | None) -> str:
    """The file beside a missing one that was likely meant, as it would be written; empty where none is near."""
    if folder is None or "\0" in file or (folder / file).exists():
        return ""
    try:
        names = [entry.name for entry in (folder / file).parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    near = closest(Path(file).name, names)
    return str(Path(file).with_name(near)) if near else ""


def _spellings(value: str) -> tuple[str, ...]:
    return (value, f'"{value}"', f"'{value}'")


def _read(file: str, beside: Beside) -> str:
    """The two columns of a file. Raises ValueError, in words."""
    from orchestrator.spectra.shape import canonical

    if beside.text is not None:
        return beside.text
    if beside.folder is None:
        raise ValueError("only a campaign file can name another file: put the two columns of the spectrum here as text")
    if "\0" in file:
        raise ValueError("there is no such spectrum file")
    try:
        data = (beside.folder / file).read_bytes()
    except FileNotFoundError:
        raise ValueError("there is no such spectrum file") from None
    except OSError as error:
        raise ValueError(f"the spectrum file cannot be read: {error.strerror}") from None
    text = canonical(data)
    if len(text) > MOST_TEXT:
        raise ValueError("the spectrum has more points than any detector")
    return text
