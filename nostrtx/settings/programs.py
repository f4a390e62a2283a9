# -*- test-case-name: tests.settings.test_programs -*-
"""Policies that are somebody else's: programs, and plugins in Python."""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

import attrs

from nostrtx.nostr.kinds import parse_kinds
from nostrtx.settings.checks import at_least, one_of, positive, shown

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")


def _name(_: object, __: object, value: str) -> None:
    if _NAME.fullmatch(value) is None:
        raise ValueError(
            f"must be up to 64 of a-z, A-Z, 0-9, -, _ and ., not {shown(value)}"
        )


def _kinds(_: object, __: object, value: tuple[int | str, ...]) -> None:
    parse_kinds(value)


def _command(_: object, __: object, value: str | tuple[str, ...]) -> None:
    try:
        _split(value)
    except ValueError as error:
        raise ValueError(f"cannot be parted into words: {error}") from None


def _split(command: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(shlex.split(command)) if isinstance(command, str) else command


@attrs.frozen
class ProgramSettings:
    """
    ``[[programs]]``: a program that is asked which events to take.

    Attributes:
        name: What it is called in the log and in metrics; empty for its number.
        command: The program and its arguments: an array, or one string that is parted
            into words as a shell does it, without a shell.
        kinds: Only events of these are its business; none for all.
        workers: How often it runs.
        in_flight: Events that each of these may have at a time.
        max_waiting: Events that may wait for their turn.
        timeout_seconds: How long an event may take, waiting included.
        on_failure: What becomes of an event that gets no answer: ``refuse`` or
            ``accept``.
        shadow: Whether what it says is only counted.
    """

    name: str = attrs.field(default="", validator=_name)
    command: str | tuple[str, ...] = attrs.field(default=(), validator=_command)
    kinds: tuple[int | str, ...] = attrs.field(default=(), validator=_kinds)
    workers: int = attrs.field(default=1, validator=at_least(1, 64))
    in_flight: int = attrs.field(default=256, validator=at_least(1, 10_000))
    max_waiting: int = attrs.field(default=10_000, validator=at_least(1))
    timeout_seconds: float = attrs.field(default=10.0, validator=positive)
    on_failure: str = attrs.field(
        default="refuse", validator=one_of("refuse", "accept")
    )
    shadow: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command in words; empty if none is stated."""
        return _split(self.command)


@attrs.frozen
class PluginSettings:
    """
    ``[[plugins]]``: policies in Python, found as Twisted finds plugins.

    Attributes:
        name: That of the plugin.
        options: Are for the plugin to read.
        shadow: Whether what it says is only counted.
    """

    name: str = attrs.field(default="", validator=_name)
    options: dict[str, Any] = attrs.field(factory=dict, hash=False)
    shadow: bool = False


#: What the relay's own policies are called in metrics.
OWN_POLICIES: Final = frozenset(
    {"bans", "groups", "kinds", "members", "nip05", "rates", "rules"}
)


def program_name(program: ProgramSettings, number: int) -> str:
    """What a program is called: its name, or its number as the file counts them."""
    return program.name or f"program-{number}"


def program_faults(
    programs: tuple[ProgramSettings, ...], plugins: tuple[PluginSettings, ...]
) -> list[str]:
    """
    What is wrong with programs and plugins that are each good by themselves.

    Returns:
        A line for each fault, beginning with the name of the setting.
    """
    faults = []
    seen: set[str] = set()
    for at, program in enumerate(programs):
        called = program_name(program, at)
        if called in seen:
            faults.append(f"programs[{at}].name: another one is called {shown(called)}")
        seen.add(called)
        if called in OWN_POLICIES:
            faults.append(f"programs[{at}].name: {_own_fault(called)}")
        if not program.arguments:
            faults.append(f"programs[{at}].command: must be stated")
    for at, plugin in enumerate(plugins):
        if not plugin.name:
            faults.append(f"plugins[{at}].name: must be stated")
        elif plugin.name in seen:
            faults.append(
                f"plugins[{at}].name: another one is called {shown(plugin.name)}"
            )
        elif plugin.name in OWN_POLICIES:
            faults.append(f"plugins[{at}].name: {_own_fault(plugin.name)}")
        seen.add(plugin.name)
    return faults


def _own_fault(name: str) -> str:
    return f"a policy of the relay itself is called {shown(name)}"
