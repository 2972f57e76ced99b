"""The lines in pytest's summary that say what each driver claims and what it does not."""

from __future__ import annotations

from typing import Final

import pytest

_NAME: Final = "whisper-persistence-conformance"


class ClaimReport:
    """Prints, after a test run, what the drivers under test claim, so that nothing is skipped in silence."""

    def __init__(self) -> None:
        self.claims: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print two lines a driver."""
        terminalreporter.section("whisper-persistence conformance")
        for name, (claimed, unclaimed) in sorted(self.claims.items()):
            terminalreporter.write_line(f"{name} claims: {', '.join(sorted(claimed)) or 'nothing'}")
            terminalreporter.write_line(f"{name} skips, and proves absent: {', '.join(sorted(unclaimed)) or 'nothing'}")


def report(config: pytest.Config, name: str, claimed: frozenset[str], unclaimed: frozenset[str]) -> None:
    """Note what one driver claims, for the summary at the end.

    Args:
        config: of the running pytest; the report registers itself there the first time.
        name: of the driver's test class.
        claimed: the capabilities it claims.
        unclaimed: those it does not.
    """
    found = config.pluginmanager.get_plugin(_NAME)
    if found is None:
        found = ClaimReport()
        config.pluginmanager.register(found, _NAME)
    found.claims[name] = (claimed, unclaimed)
