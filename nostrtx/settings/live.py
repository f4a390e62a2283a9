# -*- test-case-name: tests.settings.test_live -*-
"""
The settings of the moment, which may change while the relay runs.

Parts hold a :class:`LiveSettings` in place of a table and read from it each time. What
is derived from settings is derived in a function that is given to
:meth:`LiveSettings.follow`: it is called at the start and after every change, so there
is one place that knows how, and no part can be left with what was true before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from nostrtx.settings.checks import shown
from nostrtx.settings.tree import Settings

#: What is looked at when the relay starts, and not again: tables, and settings.
AT_START: Final = frozenset(
    {
        "admin",
        "cluster",
        "store",
        "search",
        "groups.enabled",
        "ingest.verifier_processes",
        "listen.endpoints",
        "listen.takeover",
        "log.format",
        "membership.enabled",
        "membership.file",
        "nip05.local_addresses",
        "relay.key_file",
        "timing.certificate_seconds",
    }
)


@attrs.frozen
class Change:
    """
    A setting that is another than before.

    Attributes:
        name: As in ``limits.max_limit``.
        before: Its value; None if it is not for every eye.
        after: Its new value; None likewise.
        waits: Whether it holds after a restart only.
    """

    name: str
    before: object
    after: object
    waits: bool

    def __str__(self) -> str:
        if self.waits:
            return f"{self.name}: needs a restart"
        if self.before is None:
            return f"{self.name}: changed"
        return f"{self.name}: {shown(self.after)}, was {shown(self.before)}"


def differences(old: Settings, new: Settings) -> list[Change]:
    """What is not the same, in the order of the tables."""
    found = []
    for table in attrs.fields(Settings):
        before, after = getattr(old, table.name), getattr(new, table.name)
        if before == after:
            continue
        if not attrs.has(type(after)):
            # Tables by name or number: too much for a line.
            waits = table.name in AT_START
            found.append(Change(table.name, None, None, waits))
            continue
        for field in attrs.fields(type(after)):
            was, is_now = getattr(before, field.name), getattr(after, field.name)
            if was != is_now:
                name = f"{table.name}.{field.name}"
                waits = not AT_START.isdisjoint((table.name, name))
                if not field.repr:
                    was = is_now = None
                found.append(Change(name, was, is_now, waits))
    return found


class LiveSettings:
    """
    Settings that can be replaced.

    Args:
        settings: Those of the start.

    Attributes:
        now: Those of this moment. Read it each time.
    """

    __slots__ = ("_amendments", "_checks", "_followers", "now")

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self._followers: list[Callable[[Settings], None]] = []
        self._checks: list[Callable[[Settings], object]] = []
        self._amendments: list[Callable[[Settings], Settings]] = []

    def amend(self, call: Callable[[Settings], Settings]) -> None:
        """
        Have ``call`` make of all settings what of them can hold here.

        To be called before anybody follows whom it concerns.
        """
        self._amendments.append(call)
        self.now = call(self.now)

    def follow(self, call: Callable[[Settings], None]) -> None:
        """
        Make ``call`` now, and whenever settings were read again, changed or not.

        So it may also look again at what is not in the settings, such as files that
        they name.
        """
        self._followers.append(call)
        call(self.now)

    def check_first(self, check: Callable[[Settings], object]) -> None:
        """
        Make ``check`` before every change.

        If it raises :exc:`nostrtx.settings.file.ConfigError`, nothing changes.
        """
        self._checks.append(check)

    def change(self, settings: Settings) -> tuple[list[Change], list[Exception]]:
        """
        Let other settings hold, but for those that are looked at at the start only.

        Returns:
            How they differ from those of before, and what was raised by those who
            could not follow; all others have.

        Raises:
            ConfigError: A check forbids it; nothing has changed.
        """
        for amend in self._amendments:
            settings = amend(settings)
        changes = differences(self.now, settings)
        settings = _kept(self.now, settings, changes)
        for check in self._checks:
            check(settings)
        self.now = settings
        faults: list[Exception] = []
        for call in self._followers:
            try:
                call(settings)
            except Exception as error:
                faults.append(error)
        return changes, faults


def _kept(old: Settings, new: Settings, changes: list[Change]) -> Settings:
    """The new settings, with the old values of what waits."""
    for change in changes:
        if change.waits:
            table, _, name = change.name.partition(".")
            if not name:
                new = attrs.evolve(new, **{table: getattr(old, table)})
                continue
            before = getattr(getattr(old, table), name)
            kept = attrs.evolve(getattr(new, table), **{name: before})
            new = attrs.evolve(new, **{table: kept})
    return new
