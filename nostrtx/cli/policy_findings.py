# -*- test-case-name: tests.cli.test_policy_findings -*-
"""Programs, plugins and files of lists that settings name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from twisted.logger import capturedLogs

from nostrtx.cli.file_findings import not_to_be_run
from nostrtx.cli.finding import Finding
from nostrtx.interfaces.policies import PolicyContext
from nostrtx.relay.policies.list_files import read_list
from nostrtx.relay.policies.plugins import make_policy
from nostrtx.settings.file import ConfigError
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore

#: How many faulty lines of a file are told.
_TOLD: Final = 5


def policy_findings(settings: Settings, reactor: Any) -> Iterator[Finding]:
    """
    Why an operator's own policies would not be asked, or not as they are meant.

    Args:
        settings: ``lists``, ``programs`` and ``plugins``.
        reactor: Given to plugins as their clock.
    """
    for name, each in settings.lists.items():
        for path in each.files:
            faults = read_list(path, each.of).faults
            for fault in faults[:_TOLD]:
                yield Finding(f"lists.{name}.files: {path}: {fault}")
            if len(faults) > _TOLD:
                more = len(faults) - _TOLD
                yield Finding(f"lists.{name}.files: {path}: and {more} more faults")
    for at, program in enumerate(settings.programs):
        if program.arguments and (why := not_to_be_run(program.arguments[0])):
            yield Finding(f"programs[{at}].command: {why}")
    yield from _plugin_findings(settings, reactor)


def _plugin_findings(settings: Settings, reactor: Any) -> Iterator[Finding]:
    context = PolicyContext(reactor, MemoryEventStore())
    broken: dict[str, None] = {}
    for at, plugin in enumerate(settings.plugins):
        if not plugin.name:
            continue
        with capturedLogs() as logs:
            try:
                make_policy(plugin, f"plugins[{at}]", context)
            except ConfigError as error:
                yield Finding(str(error))
        for event in logs:
            # Twisted passes over plugins that cannot be imported, and only logs it.
            if (failure := event.get("failure")) is not None:
                broken[failure.getErrorMessage()] = None
    for why in broken:
        yield Finding(f"plugins: one that is installed cannot be imported: {why}")
