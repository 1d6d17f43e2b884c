"""A made-up table of couplings and the pool file that describes it."""

import math
from pathlib import Path

from orchestrator.pool import Pool, load_pool, load_spec

SPEC = """\
kind: pool
name: Made-up couplings
table: {delimiter: ";"}
filter:
  - {column: batch, one_of: [A, B]}
failed_when:
  - {column: remark, equals: clogged}
inputs:
  ligand: {kind: categorical}
  loading: {kind: discrete, scale: log, unit: "%"}
  temperature: {column: "T (degC)", unit: degC}
outputs:
  peak: {column: "peak (nm)", transform: 1240/x, unit: eV, absent: [0]}
  yield: {}
objective:
  maximise: {output: yield, top: 10 %, find: [50 %, 100 %]}
initial: {points: 4}
seeds: 2
arms: [random, ensemble]
"""
TARGET = "objective:\n  target: {output: peak, values: [2.20 eV, 2.90 eV], tolerance: 0.004 eV}\n"


def spec_text(**replaced: str) -> str:
    """The pool file with whole top-level lines replaced."""
    text = SPEC
    if "objective" in replaced:
        before, after = text.split("objective:\n")
        text = before + replaced.pop("objective") + after.split("\n", 1)[1]
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def write_table(path: Path, *extra: str) -> Path:
    """Thirty conditions of which a few were repeated, one clogged, and one belongs to another batch."""
    lines = ["batch;ligand;loading;T (degC);peak (nm);yield;remark"]
    for i in range(30):
        ligand, loading, celsius = ("XPhos", "SPhos", "dppf")[i % 3], (0.5, 1.0, 5.0)[i // 3 % 3], 40 + 2.5 * i
        bright = (0.9 if i % 3 == 1 else 0.4) - 0.1 * math.log(loading / 5) ** 2 - ((celsius - 90) / 100) ** 2
        lines.append(f"{'AB'[i % 2]};{ligand};{loading};{celsius};{600 - 2 * celsius / 2.5};{bright:.4f};")
    lines += ["A;XPhos;0.5;40;569;0.1;", "B;XPhos;5;41;570;0;clogged", "C;other;9;999;x;y;", *extra]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pool_of(folder: Path, text: str = SPEC, *extra: str) -> Pool:
    spec = folder / "spec.yaml"
    spec.write_text(text, encoding="utf-8")
    return load_pool(write_table(folder / "table.csv", *extra), load_spec(spec))


def small_pool(folder: Path, written: str, /, **sections: str) -> Pool:
    """A pool of a table given as text: the input x and the output y, unless a section of the pool file is given."""
    given = {"inputs": "{x: {}}", "outputs": "{y: {}}", "objective": "{minimise: {output: y}}", **sections}
    spec, data = folder / "spec.yaml", folder / "table.csv"
    lines = ["kind: pool", "name: small", "initial: {points: 1}", *(f"{key}: {text}" for key, text in given.items())]
    spec.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data.write_text(written, encoding="utf-8")
    return load_pool(data, load_spec(spec))
