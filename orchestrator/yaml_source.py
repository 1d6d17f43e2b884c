"""YAML text into plain data in which every key and every value knows its line and column.

The parser is ruamel.yaml's, read event by event, so that whatever does not belong into a configuration file (anchors
that multiply, deep nesting, tags, several documents, repeated keys) is refused while it is read and before anything is
built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, Problem
from orchestrator.yaml_words import complaint, lines_of

if TYPE_CHECKING:
    from ruamel.yaml.error import StringMark

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_EVENTS = 20_000
MAX_ANCHORS = 20
MAX_EXPANDED = 20_000
SHOWN = 60

_SQLITE = b"SQLite format 3\0"
_OF_JOURNALS = b"LUMI"
"""What `orchestrator.journal.store` has SQLite write into the header of its files as the name of their application."""
_DATABASES = {
    True: "this is a run's journal, for lumiflow status, explain, report and replay; a text file (YAML) is wanted here",
    False: "this is an SQLite file; a text file (YAML) is wanted here",
}

Scalar = str | int | float | bool | None
Path_ = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_CONSTANTS: Mapping[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": float("nan"),
    ".NaN": float("nan"),
    ".NAN": float("nan"),
}


@dataclass(frozen=True)
class Node:
    """One value of the file. ``line`` and ``column`` count from 1; ``size`` counts the nodes from here down.

    ``value`` is a scalar, a tuple of nodes, or a dict of key text to (key node, value node).
    """

    value: Scalar | tuple[Node, ...] | dict[str, tuple[Node, Node]]
    line: int
    column: int
    text: str
    size: int = 1

    def plain(self) -> Any:
        """The value as plain data: dicts, tuples and scalars."""
        if isinstance(self.value, dict):
            return {key: value.plain() for key, (_, value) in self.value.items()}
        if isinstance(self.value, tuple):
            return tuple(item.plain() for item in self.value)
        return self.value

    def get(self, key: str) -> Node | None:
        """The value under ``key``; None where this is no mapping or has no such key."""
        entry = self.value.get(key) if isinstance(self.value, dict) else None
        return None if entry is None else entry[1]

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and values of a mapping; nothing for anything else."""
        if isinstance(self.value, dict):
            for key, (_, value) in self.value.items():
                yield key, value

    def elements(self) -> tuple[Node, ...]:
        """Elements of a sequence; nothing for anything else."""
        return self.value if isinstance(self.value, tuple) else ()


@dataclass(frozen=True)
class Document:
    """A file as read: its name for messages, its text, and the tree of its nodes."""

    name: str
    text: str
    root: Node
    lines: tuple[str, ...] = field(repr=False, compare=False)

    def find(self, path: Sequence[str | int]) -> tuple[Node, Node, Path_]:
        """(key node, value node, path as far as it exists) for a path of keys and indices; an empty one is the root."""
        key = node = self.root
        reached: list[str | int] = []
        for step in path:
            if isinstance(step, str) and isinstance(node.value, dict) and step in node.value:
                key, node = node.value[step]
            elif isinstance(step, int) and isinstance(node.value, tuple) and 0 <= step < len(node.value):
                key = node = node.value[step]
            else:
                break
            reached.append(step)
        return key, node, tuple(reached)

    def problem(
        self,
        path: Sequence[str | int],
        message: str,
        *,
        at_key: bool = False,
        offending: str | None = None,
        allowed: str = "",
        suggestion: str = "",
    ) -> Problem:
        """A problem at the value (or the key) under ``path``, or at the deepest part of the path that exists."""
        key, node, reached = self.find(path)
        if len(reached) < len(path):
            at_key = True
        spot = key if at_key else node
        found = spot.text if offending is None else offending
        return Problem(
            self.name,
            spot.line,
            spot.column,
            dotted(path),
            found,
            message,
            allowed,
            suggestion,
            _source(self.lines, spot.line),
        )


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: ``devices.cs.syringe`` or ``safe_sequence[1].flow``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises ConfigError if it is missing, too large, a database, or not UTF-8."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([Problem(name, 0, 0, "", "", "there is no such file")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Problem(name, 0, 0, "", "", f"cannot be read: {reason}")]) from None
    if data.startswith(_SQLITE):
        raise ConfigError([Problem(name, 0, 0, "", "", _DATABASES[data[68:72] == _OF_JOURNALS])])
    if len(data) > MAX_BYTES:
        raise ConfigError([_too_large(name)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        problem = Problem(name, line, column, "", f"byte 0x{data[error.start]:02X}", "the file is not UTF-8 text")
        raise ConfigError([problem]) from None


def parse(text: str, name: str) -> Document:
    """Read one YAML document whose top level is a mapping.

    Raises ConfigError, naming line and column, for text that is too large, broken, nested deeper than 20, or that uses
    tags, many anchors, several documents, keys twice, keys that are no names, or tabs for indentation.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError([_too_large(name)])
    lines = tuple(line.rstrip("\r\n") for line in lines_of(text))
    for number, line in enumerate(lines, start=1):
        indentation = line[: len(line) - len(line.lstrip())]
        if "\t" in indentation and line.strip():
            column = indentation.index("\t") + 1
            _refuse(name, lines, (number, column), "a tab in the indentation; YAML is indented with spaces", "tab")
    root = _Reader(name, lines).read(text)
    if not isinstance(root.value, dict):
        message = "the file must be a mapping of keys to values" if root.text else "the file is empty"
        _refuse(name, lines, (root.line, root.column), message, root.text)
    return Document(name, text, root, lines)


def _too_large(name: str) -> Problem:
    return Problem(name, 0, 0, "", "", f"the file is larger than {MAX_BYTES // 1000} kB")


def _refuse(name: str, lines: tuple[str, ...], place: tuple[int, int], message: str, offending: str = "") -> None:
    line, column = place
    raise ConfigError([Problem(name, line, column, "", _shown(offending), message, source=_source(lines, line))])


def _source(lines: tuple[str, ...], line: int) -> str:
    """A line as it can be shown on a terminal: cut to 200 characters, control characters as spaces."""
    text = lines[line - 1].rstrip() if 0 < line <= len(lines) else ""
    return "".join(character if character.isprintable() else " " for character in text[:200])


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN]}…"


@dataclass
class _Open:
    """A collection that is being read: finished nodes so far, keys and values alternating in a mapping."""

    mapping: bool
    line: int
    column: int
    anchor: str | None
    nodes: list[Node] = field(default_factory=list)


class _Reader:
    """Builds nodes from ruamel.yaml's events, refusing early whatever a configuration has no use for."""

    def __init__(self, name: str, lines: tuple[str, ...]) -> None:
        self._name = name
        self._lines = lines
        self._anchors: dict[str, Node] = {}
        self._anchor_count = 0

    def read(self, text: str) -> Node:
        from ruamel.yaml import YAML, events
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        stack: list[_Open] = []
        root: Node | None = None
        documents = count = 0
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                line, column = _position(event.start_mark)
                count += 1
                if count > MAX_EVENTS:
                    self._refuse(line, column, "the file holds more values than any configuration needs")
                if isinstance(event, events.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._refuse(line, column, "the file holds several documents; one is expected")
                    continue
                node: Node | None = None
                if isinstance(event, events.ScalarEvent):
                    node = self._scalar(event, line, column)
                elif isinstance(event, events.AliasEvent):
                    node = self._alias(event.anchor, line, column)
                elif isinstance(event, (events.MappingStartEvent, events.SequenceStartEvent)):
                    self._no_tag(event.tag, line, column)
                    self._count_anchor(event.anchor, line, column)
                    if len(stack) >= MAX_DEPTH:
                        self._refuse(line, column, f"nested deeper than {MAX_DEPTH} levels")
                    stack.append(_Open(isinstance(event, events.MappingStartEvent), line, column, event.anchor))
                elif isinstance(event, (events.MappingEndEvent, events.SequenceEndEvent)):
                    node = self._close(stack.pop())
                if node is not None:
                    if stack:
                        stack[-1].nodes.append(node)
                    else:
                        root = node
        except MarkedYAMLError as error:
            mark, message = complaint(error)
            line, column = (1, 1) if mark is None else _position(mark)
            if message is None:
                line, column, message = self._colon(line, column)
            self._refuse(line, column, message)
        except ReaderError as error:
            before = text[: error.position]
            line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            self._refuse(line, column, "a character that YAML does not allow", f"U+{ord(text[error.position]):04X}")
        except (YAMLError, ValueError, RecursionError) as error:
            self._refuse(1, 1, f"not readable as YAML: {_shown(str(error))}")
        return root or Node(None, max(len(self._lines), 1), 1, "")

    def _refuse(self, line: int, column: int, message: str, offending: str = "") -> None:
        _refuse(self._name, self._lines, (line, column), message, offending)

    def _colon(self, line: int, column: int) -> tuple[int, int, str]:
        """Place and words for an unexpected colon: text with a colon in it, or a value that the line before began."""
        if ":" in self._lines[line - 1][: column - 1]:
            return line, column, "a second colon is not readable here; put text that holds a colon in quotes"
        for number in range(line - 1, 0, -1):
            text = self._lines[number - 1].strip()
            if text and not text.startswith("#"):
                if ":" in text:
                    break
                indentation = len(self._lines[number - 1]) - len(self._lines[number - 1].lstrip())
                return number, indentation + 1, "a key without its colon"
        return line, column, "a key where the value of a line above still goes on; check the indentation"

    def _scalar(self, event: Any, line: int, column: int) -> Node:
        self._no_tag(event.tag, line, column)
        self._count_anchor(event.anchor, line, column)
        plain = event.implicit[0] and not event.style
        value = _resolve(event.value) if plain else event.value
        node = Node(value, line, column, _shown(event.value))
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str, line: int, column: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            self._refuse(line, column, "an alias of something that is not above it", f"*{anchor}")
            raise AssertionError
        return Node(node.value, line, column, f"*{anchor}", node.size)

    def _count_anchor(self, anchor: str | None, line: int, column: int) -> None:
        if anchor is not None:
            self._anchor_count += 1
            if self._anchor_count > MAX_ANCHORS:
                self._refuse(line, column, f"more than {MAX_ANCHORS} anchors", f"&{anchor}")

    def _no_tag(self, tag: Any, line: int, column: int) -> None:
        if tag is not None:
            self._refuse(line, column, "tags have no meaning in a configuration file", str(tag))

    def _close(self, opened: _Open) -> Node:
        size = 1 + sum(node.size for node in opened.nodes)
        if size > MAX_EXPANDED:
            self._refuse(opened.line, opened.column, "its aliases multiply into too many values")
        if opened.mapping:
            entries = self._entries(opened.nodes)
            node = Node(
                entries, opened.line, opened.column, f"a mapping of {_shown(', '.join(entries)) or 'nothing'}", size
            )
        else:
            text = f"[{', '.join(node.text for node in opened.nodes)}]"
            text = text if len(text) <= SHOWN else f"a list of {len(opened.nodes)}"
            node = Node(tuple(opened.nodes), opened.line, opened.column, text, size)
        if opened.anchor:
            self._anchors[opened.anchor] = node
        return node

    def _entries(self, nodes: list[Node]) -> dict[str, tuple[Node, Node]]:
        entries: dict[str, tuple[Node, Node]] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key.value, str):
                self._refuse(key.line, key.column, "a key must be a name; put it in quotes if it is one", key.text)
                continue
            if key.value == "<<":
                self._refuse(key.line, key.column, "merge keys are not part of YAML 1.2; write the keys out", "<<")
            if key.value in entries:
                first = entries[key.value][0].line
                self._refuse(
                    key.line, key.column, f"the key stands here a second time; the first is in line {first}", key.value
                )
            empty = value.value is None and not value.text
            entries[key.value] = (key, Node(None, key.line, key.column, "") if empty else value)
        return entries


def _position(mark: StringMark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _resolve(text: str) -> Scalar:
    """A plain scalar by the core schema of YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= 100:
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        infinity = _INFINITY.fullmatch(text)
        if infinity:
            return float("-inf") if infinity[1] == "-" else float("inf")
    return text
