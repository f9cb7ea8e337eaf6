"""A simulated exchange over real HTTP, which imports nothing else of ltv_guard: an independent check."""

from .exchange import Exchange
from .faults import Fault
from .scenario import Scenario
from .scenario_files import ScenarioError, load_scenario, parse_scenario
from .server import Sandbox, run

__all__ = [
    "Exchange",
    "Fault",
    "Sandbox",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "parse_scenario",
    "run",
]
