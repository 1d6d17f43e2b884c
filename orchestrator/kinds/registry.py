"""All kinds of device: those that come with Lumiflow, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestrator.kinds.built_in import built_in_kinds
from orchestrator.kinds.kind import DeviceKind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from orchestrator.config.device_roles import DeviceConfig

DEVICES = "lumiflow.devices"
"""Entry points of this group load to a :class:`DeviceKind`; their name is its ``driver:``."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that cannot be used, and why. Rig files that do not name it are none the worse for it."""

    word: str
    value: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"the plugin {self.word!r} of {self.package} ({self.value}) cannot be used: {self.reason}"


@dataclass(frozen=True)
class _Found:
    kinds: Mapping[str, DeviceKind]
    broken: Mapping[str, BrokenPlugin]


def device_kinds() -> Mapping[str, DeviceKind]:
    """All kinds by their ``driver:``, those of plugins that work included."""
    return _found().kinds


def broken_plugins() -> Mapping[str, BrokenPlugin]:
    """Plugins that cannot be used, by the name of their entry point."""
    return _found().broken


def kind_of(config: DeviceConfig) -> DeviceKind:
    """The kind that a device's configuration belongs to."""
    return device_kinds()[config.driver]


@cache
def _found() -> _Found:
    kinds = dict(built_in_kinds())
    plugins, broken = load_plugins(DEVICES, _checked)
    for word, kind in plugins.items():
        if word in kinds:
            entry = BrokenPlugin(word, "", "an installed package", "Lumiflow has a driver of that name itself")
            broken = {**broken, word: entry}
        else:
            kinds[word] = kind
    return _Found(MappingProxyType(kinds), MappingProxyType(dict(broken)))


def load_plugins(group: str, check: Callable[[str, Any], Any]) -> tuple[dict[str, Any], dict[str, BrokenPlugin]]:
    """What the entry points of a group load to, by name, and those that do not.

    ``check(name, loaded)`` returns what is kept or raises TypeError or ValueError.
    """
    from importlib.metadata import entry_points

    loaded: dict[str, Any] = {}
    broken: dict[str, BrokenPlugin] = {}
    # An editable and an ordinary install of one package list the same entry point twice.
    entries = {(entry.name, entry.value): entry for entry in entry_points(group=group)}
    for (name, value), entry in sorted(entries.items()):
        package = _package(entry)
        if name in loaded:
            del loaded[name]
            broken[name] = BrokenPlugin(name, value, package, "two packages add a driver of this name")
            continue
        try:
            loaded[name] = check(name, entry.load())
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything while it is imported
            broken[name] = BrokenPlugin(name, value, package, f"{type(error).__name__}: {error}")
    return loaded, broken


def _checked(name: str, kind: Any) -> DeviceKind:
    if not isinstance(kind, DeviceKind):
        raise TypeError(f"it is a {type(kind).__name__}, not a DeviceKind")
    if kind.word != name:
        raise ValueError(f"its entry point must be called {kind.word!r}, as its driver is")
    return kind


def _package(entry: EntryPoint) -> str:
    return "a package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
