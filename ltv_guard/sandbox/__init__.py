"""A simulated exchange over real HTTP, which imports nothing else of ltv_guard: an independent check."""

from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.scenario import Scenario
from ltv_guard.sandbox.scenario_files import ScenarioError, load_scenario, parse_scenario
from ltv_guard.sandbox.server import Sandbox, run

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
