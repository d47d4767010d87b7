"""What every test shares: how many random cases are tried, and that a skip can be forbidden."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Derandomised, so that the ordinary run says the same thing twice; `make test-all` looks further.
settings.register_profile("ordinary", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "thorough", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ordinary")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """With FORBID_SKIPS set, a skipped test has failed: continuous integration must not pass by leaving things out."""
    report = yield
    if report.skipped and os.environ.get("FORBID_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which FORBID_SKIPS does not allow: {report.longrepr}"
    return report
