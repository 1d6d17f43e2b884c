"""Whether the names that a file uses exist, and are names of the right thing.

Works on the file as read, so that a wrong reference is reported together with everything else that is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.config.messages import closest
from orchestrator.config.rig import RigConfig
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document, Node

Path = tuple[str | int, ...]

_DRIVER_PORTS: Mapping[str, tuple[str, ...]] = {
    "new_era": ("serial",),
    "eurotherm": ("modbus_rtu", "modbus_tcp"),
    "pressure_4_20ma": ("modbus_rtu", "modbus_tcp"),
    "ocean_optics": ("usb",),
}
_FAULTY: Mapping[str, str] = {
    **dict.fromkeys(("pump_stall", "power_blip", "syringe_empty", "leak"), "new_era"),
    **dict.fromkeys(("sensor_break", "sensor_detached", "relay_welded"), "eurotherm"),
    **dict.fromkeys(("bubble", "usb_unplug", "usb_hang", "saturation", "lamp_drift", "fouling"), "ocean_optics"),
    "broken_wire": "pressure_4_20ma",
}
_ADDRESS: Mapping[str, str] = {"new_era": "address", "eurotherm": "unit", "pressure_4_20ma": "unit"}


def check_rig(document: Document) -> list[Problem]:
    """References inside a rig file: ports, stocks, devices by their kind, and addresses that two devices share."""
    root = document.root
    problems: list[Problem] = []
    ports = {name: _text(node, "kind") for name, node in _items(root, "ports")}
    stocks = [name for name, _ in _items(root, "stocks")]
    devices = dict(_items(root, "devices"))
    drivers = {name: _text(node, "driver") for name, node in devices.items()}

    def refer(path: Path, what: str, names: Collection[str]) -> bool:
        problem = _reference(document, path, what, names)
        if problem is not None:
            problems.append(problem)
        return problem is None

    def refer_device(path: Path, driver: str, what: str) -> None:
        names = [name for name, known in drivers.items() if known == driver]
        refer(path, what, names)

    for name, driver in drivers.items():
        path = ("devices", name, "port")
        allowed_kinds = _DRIVER_PORTS.get(driver or "")
        if refer(path, "port", ports) and allowed_kinds:
            port = _text(devices[name], "port")
            kind = ports.get(port or "")
            if kind is not None and kind not in allowed_kinds:
                message = f"a {driver} device cannot hang on a {kind} port"
                fitting = [other for other, its in ports.items() if its in allowed_kinds]
                problems.append(document.problem(path, message, allowed=", ".join(fitting) or ", ".join(allowed_kinds)))
        if driver == "new_era":
            refer(("devices", name, "stock"), "stock", stocks)
    problems += _shared_addresses(document, devices, drivers)
    refer_device(("plumbing", "reactor", "heater"), "eurotherm", "temperature controller")
    refer_device(("plumbing", "detector"), "ocean_optics", "spectrometer")
    refer_device(("plumbing", "pressure"), "pressure_4_20ma", "pressure transmitter")
    refer_device(("plumbing", "solvent_pump"), "new_era", "pump")
    twin = root.get("twin")
    faults = twin.get("faults") if twin else None
    for index in range(len(faults.elements()) if faults else 0):
        refer(("twin", "faults", index, "port"), "port", ports)
        word = _text(document.find(("twin", "faults", index))[1], "fault")
        wanted = _FAULTY.get(word or "")
        if wanted is not None:
            refer_device(("twin", "faults", index, "device"), wanted, wanted)
    steps = root.get("safe_sequence")
    for index in range(len(steps.elements()) if steps else 0):
        refer_device(("safe_sequence", index, "pump"), "new_era", "pump")
    return problems


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
            paths: list[Path] = [(section, name, "of"), (section, name, "to")]
            among = node.get("among")
            paths += [(section, name, "among", index) for index in range(len(among.elements()) if among else 0)]
            if known:
                problems += [_reference(document, path, "species in the syringes", species) for path in paths]
    budget = root.get("budget")
    reagent = budget.get("reagent") if budget else None
    for pump, _ in reagent.items() if reagent else ():
        if pump not in pumps:
            problems.append(_unknown(document, ("budget", "reagent", pump), "pump", pump, pumps, at_key=True))
    return [problem for problem in problems if problem is not None]


def _shared_addresses(
    document: Document, devices: Mapping[str, Node], drivers: Mapping[str, str | None]
) -> list[Problem]:
    seen: dict[tuple[str, int], str] = {}
    problems: list[Problem] = []
    for name, node in devices.items():
        key = _ADDRESS.get(drivers[name] or "")
        port = _text(node, "port")
        address = node.get(key) if key else None
        if key is None or port is None or address is None or not isinstance(address.value, int):
            continue
        first = seen.setdefault((port, address.value), name)
        if first != name:
            message = f"{first!r} has the same {key} on port {port!r}"
            problems.append(document.problem(("devices", name, key), message))
    return problems


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


def _items(root: Node, key: str) -> tuple[tuple[str, Node], ...]:
    section = root.get(key)
    return tuple(section.items()) if section else ()


def _text(node: Node, key: str) -> str | None:
    value = node.get(key)
    return value.value if value is not None and isinstance(value.value, str) else None
