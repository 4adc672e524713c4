"""Shared by all tests: profiles of hypothesis, the options of tests/simulation, and that CI skips nothing.

A machine that cannot prove must not look green.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# few in `make check`, which is waited for; all of them in `make test`. A test that wants more takes a multiple
EXAMPLES = int(os.environ.get("EXAMPLES", "40"))
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None, max_examples=EXAMPLES)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    days = parser.getgroup("simulation")
    days.addoption("--seed", type=int, default=None, help="replay this seed alone")
    days.addoption("--days", type=float, default=1.0, help="how long each simulated run is")
    days.addoption("--seconds", type=float, default=0.0, help="go on with other seeds for so long")

    stores = parser.getgroup("stores")
    stores.addoption("--engine", choices=("sqlite", "postgresql"), default="sqlite", help="what stands behind a store")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--engine") == "postgresql":
        config.pluginmanager.import_plugin("tests.engines")


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("CI"):
        terminalreporter.section("skipped tests fail CI", red=True)
        for nodeid in _skipped:
            terminalreporter.line(nodeid)
