"""Whether the names that a file uses exist, and are names of the right thing.

Works on the file as read, so that a wrong reference is reported together with everything else that is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.config.device_roles import Role
from orchestrator.config.messages import closest
from orchestrator.config.rig import RigConfig
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document, Node

if TYPE_CHECKING:
    from orchestrator.kinds import DeviceKind

Path = tuple[str | int, ...]

_SUFFERS: Mapping[str, Role] = {
    **dict.fromkeys(("pump_stall", "syringe_empty", "leak"), "pump"),
    **dict.fromkeys(("sensor_break", "sensor_detached", "relay_welded"), "heater"),
    **dict.fromkeys(("bubble", "saturation", "lamp_drift", "fouling"), "spectrometer"),
}
"""Faults of what a device of a role is fixed to; those of its own electronics its kind names."""
_ROLES: Mapping[Role, str] = {
    "pump": "pump",
    "heater": "temperature controller",
    "spectrometer": "spectrometer",
    "pressure": "pressure transmitter",
    "valve": "selector valve",
    "gas": "gas flow controller",
    "phase": "phase sensor",
}


def check_rig(document: Document) -> list[Problem]:
    """References inside a rig file: ports, stocks, devices by their role, and addresses that two devices share."""
    from orchestrator.kinds import device_kinds

    root = document.root
    problems: list[Problem] = []
    ports = {name: _text(node, "kind") for name, node in _items(root, "ports")}
    stocks = [name for name, _ in _items(root, "stocks")]
    devices = dict(_items(root, "devices"))
    known = device_kinds()
    kinds = {name: known.get(_text(node, "driver") or "") for name, node in devices.items()}
    port_kinds = {port_kind for kind in known.values() for port_kind in kind.ports}

    def refer(path: Path, what: str, names: Collection[str]) -> bool:
        problem = _reference(document, path, what, names)
        if problem is not None:
            problems.append(problem)
        return problem is None

    def refer_role(path: Path, role: Role) -> None:
        name = _value(document, path)
        if isinstance(name, str) and name in kinds and kinds[name] is None:
            return  # its driver is unknown: that is told, and nothing follows from it
        refer(path, _ROLES[role], [name for name, kind in kinds.items() if kind is not None and kind.role == role])

    for name, kind in kinds.items():
        path = ("devices", name, "port")
        if refer(path, "port", ports) and kind is not None:
            port_kind = ports.get(_text(devices[name], "port") or "")
            if port_kind in port_kinds and port_kind not in kind.ports:
                message = f"{_a(kind.word)} device cannot hang on a {port_kind} port"
                fitting = [other for other, its in ports.items() if its in kind.ports]
                problems.append(document.problem(path, message, allowed=", ".join(fitting) or ", ".join(kind.ports)))
        if kind is not None and kind.role == "pump":
            refer(("devices", name, "stock"), "stock", stocks)
    problems += _shared_ports(document, devices, kinds, ports)
    refer_role(("plumbing", "reactor", "heater"), "heater")
    refer_role(("plumbing", "detector"), "spectrometer")
    refer_role(("plumbing", "pressure"), "pressure")
    refer_role(("plumbing", "phase"), "phase")
    refer_role(("plumbing", "solvent_pump"), "pump")
    twin = root.get("twin")
    faults = twin.get("faults") if twin else None
    for index in range(len(faults.elements()) if faults else 0):
        refer(("twin", "faults", index, "port"), "port", ports)
        word = _text(document.find(("twin", "faults", index))[1], "fault") or ""
        if word in _SUFFERS or any(word in kind.faults for kind in known.values()):
            refer(("twin", "faults", index, "device"), f"device with a {word}", _fallible(document, kinds, word))
    steps = root.get("safe_sequence")
    for index in range(len(steps.elements()) if steps else 0):
        refer_role(("safe_sequence", index, "pump"), "pump")
    return problems


def _fallible(document: Document, kinds: Mapping[str, DeviceKind | None], fault: str) -> list[str]:
    """The devices that a fault can befall. Of heaters and spectrometers, only the plumbing's are part of the world."""
    role = _SUFFERS.get(fault)
    placed = {
        "heater": _value(document, ("plumbing", "reactor", "heater")),
        "spectrometer": _value(document, ("plumbing", "detector")),
    }
    return [
        name
        for name, kind in kinds.items()
        if kind is not None
        and (fault in kind.faults or kind.role == role)
        and (kind.role not in placed or placed[kind.role] == name)
    ]


def check_campaign(document: Document, rig: RigConfig) -> list[Problem]:
    """References of a campaign file: pumps and stocks of its rig, and species that some syringe holds."""
    root = document.root
    pumps = rig.pumps
    problems: list[Problem | None] = []
    held = {name: pump.stock for name, pump in pumps.items()}
    for pump, node in _items(root, "syringes"):
        path = ("syringes", pump)
        if pump not in pumps:
            problems.append(_unknown(document, path, "pump", pump, pumps, at_key=True))
        problems.append(_reference(document, path, "stock", rig.stocks))
        if pump in held and isinstance(node.value, str):
            held[pump] = node.value
    known = all(stock in rig.stocks for stock in held.values())
    species = sorted({symbol for stock in held.values() if stock in rig.stocks for symbol in rig.stocks[stock].species})
    for section in ("inputs", "fixed"):
        for name, node in _items(root, section):
            if _text(node, "kind") == "volume_fraction":
                problems.append(_reference(document, (section, name, "of"), "pump", pumps))
                continue
            among = node.get("among")
            listed: list[Path] = [
                (section, name, "among", index) for index in range(len(among.elements()) if among else 0)
            ]
            if _text(node, "kind") == "pump_choice":
                problems += [_reference(document, path, "pump", pumps) for path in listed]
                continue
            paths: list[Path] = [(section, name, "of"), (section, name, "to"), *listed]
            if known:
                problems += [_reference(document, path, "species in the syringes", species) for path in paths]
    problems += _ranges(document)
    budget = root.get("budget")
    reagent = budget.get("reagent") if budget else None
    for pump, _ in reagent.items() if reagent else ():
        if pump not in pumps:
            problems.append(_unknown(document, ("budget", "reagent", pump), "pump", pump, pumps, at_key=True))
    return [problem for problem in problems if problem is not None]


def _ranges(document: Document) -> list[Problem]:
    """Inputs without a range and without values, or with both, or with a step and no range."""
    problems = []
    for name, node in _items(document.root, "inputs"):
        if not isinstance(node.value, dict) or _text(node, "kind") in (None, "pump_choice"):
            continue
        path = ("inputs", name)
        given = {key for key, its in node.items() if key in ("range", "values", "step") and its.value is not None}
        if not given & {"range", "values"}:
            message = "either a range or the values that it may have must stand here"
            problems.append(document.problem((*path, "range"), message, offending="", allowed="range, values"))
        elif {"range", "values"} <= given:
            message = "range and values exclude each other"
            problems.append(document.problem((*path, "values"), message, at_key=True, offending=""))
        elif {"values", "step"} <= given:
            message = "a step belongs to a range, not to values"
            problems.append(document.problem((*path, "step"), message, at_key=True, offending=""))
    return problems


def _shared_ports(
    document: Document,
    devices: Mapping[str, Node],
    kinds: Mapping[str, DeviceKind | None],
    ports: Mapping[str, str | None],
) -> list[Problem]:
    """Two devices with one address, a second device where there is room for one, two protocols on one serial line."""
    seen: dict[str, list[tuple[str, DeviceKind, tuple[Any, ...]]]] = {}
    problems: list[Problem] = []
    for name, node in devices.items():
        kind, port = kinds[name], _text(node, "port")
        if kind is None or port is None or ports.get(port) not in kind.ports:
            continue
        addresses = _addresses(node, kind)
        clash = _clash(document, name, kind, addresses, seen.get(port, ()), port, ports.get(port))
        if clash is not None:
            problems.append(clash)
        seen.setdefault(port, []).extend((name, kind, address) for address in addresses)
    return problems


def _clash(
    document: Document,
    name: str,
    kind: DeviceKind,
    addresses: Sequence[tuple[Any, ...]],
    others: Sequence[tuple[str, DeviceKind, tuple[Any, ...]]],
    port: str,
    port_kind: str | None,
) -> Problem | None:
    for other, its, taken in others:
        if port_kind not in ("modbus_rtu", "modbus_tcp") and its is not kind:
            message = f"{_a(kind.word)} device cannot share port {port!r} with {other!r}, {_a(its.word)} device"
            return document.problem(("devices", name, "port"), message)
        if not kind.address:
            return document.problem(("devices", name, "port"), f"{other!r} has port {port!r} to itself")
        for address in addresses:
            shared = min(len(address), len(taken))
            if address[:shared] == taken[:shared]:
                key = kind.address[shared - 1]
                message = f"{other!r} has the same {kind.address[0] if shared == 1 else ' and '.join(kind.address)}"
                return document.problem(("devices", name, key), f"{message} on port {port!r}")
    return None


def _addresses(node: Node, kind: DeviceKind) -> list[tuple[Any, ...]]:
    """The addresses that a device takes on its port; several where its key holds a list. None that is not there."""
    defaults = {field.alias or name: field.default for name, field in kind.config.model_fields.items()}
    values: list[Any] = []
    for key in kind.address:
        found = node.get(key)
        values.append(defaults.get(key) if found is None else found.plain())
    if any(value is None or not isinstance(value, (int, str, tuple)) for value in values):
        return []
    if len(values) == 1 and isinstance(values[0], tuple):
        return [(value,) for value in values[0]]
    return [tuple(values)]


def _reference(document: Document, path: Path, what: str, names: Collection[str]) -> Problem | None:
    """A problem if the text at ``path`` is none of the names; None if it is, or if there is no text to check."""
    _, node, reached = document.find(path)
    if reached != path or not isinstance(node.value, str) or node.value in names:
        return None
    return _unknown(document, path, what, node.value, names)


def _unknown(
    document: Document, path: Sequence[str | int], what: str, name: str, names: Collection[str], *, at_key: bool = False
) -> Problem:
    return document.problem(
        path,
        f"there is no {what} of this name",
        at_key=at_key,
        offending=name,
        allowed=", ".join(names) or "none is declared",
        suggestion=closest(name, names),
    )


def _a(word: str) -> str:
    return f"{'an' if word[:1] in 'aeio' and word[:2] != 'eu' else 'a'} {word}"


def _items(root: Node, key: str) -> tuple[tuple[str, Node], ...]:
    section = root.get(key)
    return tuple(section.items()) if section else ()


def _text(node: Node, key: str) -> str | None:
    value = node.get(key)
    return value.value if value is not None and isinstance(value.value, str) else None


def _value(document: Document, path: Path) -> Any:
    _, node, reached = document.find(path)
    return node.value if reached == path else None
