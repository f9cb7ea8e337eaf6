"""The files of deploy/, read, and the queries in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES, DASHBOARD = DEPLOY / "prometheus-alerts.yaml", DEPLOY / "grafana-dashboard.json"
METRIC = re.compile(r"ltv_guard_\w+")

Tree = Any  # what YAML and JSON hold


def documents(name: str) -> list[Tree]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def rules() -> list[Tree]:
    (group,) = documents(RULES.name)[0]["groups"]
    found: list[Tree] = group["rules"]
    return found


def panels() -> list[Tree]:
    found: list[Tree] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> dict[str, str]:
    """What is asked of Prometheus, by whoever asks."""
    asked = {item["alert"]: item["expr"] for item in rules()}
    asked |= {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }
    return asked


def tool(name: str) -> str:
    """The program; the test is skipped where it is not installed."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def ran(*command: str | Path) -> str:
    """What it says; fails where it does not end well."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
