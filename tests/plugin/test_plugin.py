"""A driver and its twin from a package of somebody else's, installed beside Lumiflow and not part of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.orchestrator.rehearsal import CONFIGS

ACME = Path(__file__).resolve().parent / "lumiflow_acme"
ROOT = CONFIGS.parent


def install(folder: Path, *, spoilt: bool = False) -> Path:
    """What an installer makes of the package's folder: its modules, and its entry points as metadata."""
    site = folder / "site"
    project = tomllib.loads((ACME / "pyproject.toml").read_text())["project"]
    shutil.copytree(ACME / "lumiflow_acme", site / "lumiflow_acme", ignore=shutil.ignore_patterns("__pycache__"))
    metadata = site / "lumiflow_acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    if spoilt:
        (site / "lumiflow_acme" / "driver.py").write_text("import a_module_that_nobody_has\n")
    return site


def rig_and_campaign(folder: Path, driver: str = "acme") -> None:
    """The bench with its solvent pump replaced by the stranger's, and a campaign of one experiment on it."""
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    old = "driver: new_era\n    port: pumps\n    address: 3\n"
    assert old in rig
    rig = rig.replace(old, f"driver: {driver}\n    port: acme\n")
    rig = rig.replace("    line_volume: 30 µl\n    safe_mode_timeout: 30 s\n  oven:", "    line_volume: 30 µl\n  oven:")
    rig = rig.replace("ports:\n", "ports:\n  acme: {kind: serial, url: /dev/ttyUSB7}\n", 1)
    (folder / "rig.yaml").write_text(rig)
    campaign = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    for words, others in {
        "../rigs/perovskite-bench.yaml": "rig.yaml",
        "experiments: 25": "experiments: 1",
        "initial: 8": "initial: 1",
        "strategy: ensemble": "strategy: sobol",
    }.items():
        assert words in campaign
        campaign = campaign.replace(words, others)
    (folder / "campaign.yaml").write_text(campaign)


def lumiflow(folder: Path, site: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(each) for each in (ROOT, site) if each is not None)
    return subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=120,
    )


def test_an_installed_package_adds_a_pump_that_a_campaign_runs_on(tmp_path: Path) -> None:
    site = install(tmp_path)
    rig_and_campaign(tmp_path)
    done = lumiflow(tmp_path, site, "run", "campaign.yaml", "--no-report", "--json")
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["stop_reason"], result["safe"]) == ("budget_experiments", True), done.stderr
    assert result["experiments"] == 1
    seen = json.loads(lumiflow(tmp_path, site, "devices", "rig.yaml", "--json").stdout)
    (pump,) = [device for device in seen["devices"] if device["name"] == "solvent"]
    assert (pump["kind"], pump["firmware"], pump["quality"]) == ("acme", "ACME 7", "good")
    schema = json.loads(lumiflow(tmp_path, site, "schema", "rig").stdout)
    assert "AcmeConfig" in schema["$defs"]


def test_without_the_package_its_driver_is_unknown(tmp_path: Path) -> None:
    rig_and_campaign(tmp_path)
    done = lumiflow(tmp_path, None, "validate", "rig.yaml")
    assert done.returncode == 2
    assert "no such driver (got acme; allowed: alicat" in done.stderr


@pytest.mark.parametrize(("driver", "code"), [("acme", 2), ("harvard", 0)])
def test_a_package_that_does_not_load_is_named_and_only_where_it_is_wanted(
    tmp_path: Path, driver: str, code: int
) -> None:
    site = install(tmp_path, spoilt=True)
    rig_and_campaign(tmp_path, driver)
    text = (tmp_path / "rig.yaml").read_text()
    (tmp_path / "rig.yaml").write_text(
        text.replace("    port: acme\n", "    port: acme\n    address: 0\n") if code == 0 else text
    )
    done = lumiflow(tmp_path, site, "validate", "rig.yaml")
    assert done.returncode == code, done.stderr
    assert ("the plugin 'acme' of lumiflow-acme 1.0" in done.stderr) is (code == 2)
    assert ("a_module_that_nobody_has" in done.stderr) is (code == 2)
    assert "Traceback" not in done.stderr
