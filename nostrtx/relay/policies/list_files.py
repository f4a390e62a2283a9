# -*- test-case-name: tests.relay.policies.test_list_files -*-
"""
Files that hold lists: one entry a line, read again when they have changed.

A comment begins with ``#`` at the start of a line or after a blank.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.nostr.bech32 import parse_pubkey
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.entries import Entries
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.checks import parse_network
from nostrtx.settings.policies import ListSettings, check_word

#: Runs something that takes a while where it holds up nobody.
InThread = Callable[..., Deferred[object]]

_COMMENT: Final = re.compile(r"(?:^|\s)#.*")

#: How many faulty lines of a file are told.
_TOLD: Final = 5


_NOTHING: Final = Entries()


@attrs.frozen
class Reading:
    """
    What was found in a file.

    Attributes:
        state: Changes whenever the file does; None if it cannot be read.
        entries: What is good in it.
        faults: What is not, a line each.
    """

    state: tuple[int, ...] | None
    entries: Entries = _NOTHING
    faults: tuple[str, ...] = ()


def state_of(path: str) -> tuple[int, ...] | None:
    """What changes whenever the file at ``path`` does; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def read_list(path: str, of: str) -> Reading:
    """
    What the file at ``path`` holds; blocks.

    Args:
        path: Where it is.
        of: What it holds, as in :class:`ListSettings`.
    """
    state = state_of(path)
    if state is not None and not os.path.isfile(path):
        return Reading(None, faults=("it is no file",))
    try:
        with open(path, encoding="utf-8-sig") as lines:
            texts = [_COMMENT.sub("", line).strip() for line in lines]
    except UnicodeDecodeError:
        return Reading(None, faults=("it is not UTF-8",))
    except OSError as error:
        return Reading(None, faults=(error.strerror or "it cannot be read",))
    good: list[object] = []
    faults = []
    for number, text in enumerate(texts, 1):
        if text:
            try:
                good.append(_parsed(text, of))
            except ValueError as error:
                faults.append(f"line {number}: {error}")
    return Reading(state, Entries.of(of, good), tuple(faults))


def _parsed(text: str, of: str) -> object:
    """
    One entry.

    Raises:
        ValueError: It is none of this sort.
    """
    if of == "pubkeys":
        return parse_pubkey(text)
    if of == "addresses":
        return str(parse_network(text))
    check_word(text)
    return text


class ListFiles:
    """
    The files of one list.

    Args:
        name: What the list is called.
        settings: Says which files, and what they hold.
        clock: Wall-clock time.
        changed: Called when another reading holds than before.

    Attributes:
        loaded: When all have been read since the start.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        settings: ListSettings,
        clock: IReactorTime,
        changed: Callable[[], None],
    ) -> None:
        self.loaded = Moment()
        self._name = name
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._readings: dict[str, Reading] = {}
        self._complaints: dict[str, tuple[str, ...]] = {}
        self._tasks = BackgroundTasks()

    @property
    def entries(self) -> Sequence[Entries]:
        """What is in the files."""
        return [reading.entries for reading in self._readings.values()]

    def start(self, in_thread: InThread) -> None:
        """Read the files in a thread, and again whenever they have changed."""
        if self._settings.files:
            self._tasks.start(self._follow(in_thread), "Following files of a list")
        else:
            self.loaded.comes()

    def stop(self) -> None:
        """Look at them no more."""
        self._tasks.cancel_all()

    async def _follow(self, in_thread: InThread) -> None:
        while True:
            for path in self._settings.files:
                try:
                    await self._look_at(path, in_thread)
                except CancelledError:
                    raise
                except Exception:
                    self._log.failure("Reading {path} failed.", path=path)
            self.loaded.comes()
            await deferLater(self._clock, self._settings.refresh_seconds)

    async def _look_at(self, path: str, in_thread: InThread) -> None:
        known = self._readings.get(path)
        state = await in_thread(state_of, path)
        if known is not None and state is not None and state == known.state:
            self._complain(path, known.faults)
            return
        reading = await in_thread(read_list, path, self._settings.of)
        assert isinstance(reading, Reading)
        self._take(path, reading)

    def _take(self, path: str, reading: Reading) -> None:
        known = self._readings.get(path)
        self._complain(path, reading.faults)
        if known is not None and reading.faults:
            # It stays as it was; what is half written by now is read again later.
            return
        if reading.state is None:
            return
        self._readings[path] = reading
        if known is None or known.entries != reading.entries:
            self._log.info(
                "List {name}: {count} entries in {path}.",
                name=self._name,
                count=len(reading.entries),
                path=path,
            )
            self._changed()

    def _complain(self, path: str, faults: tuple[str, ...]) -> None:
        """Say what is wrong with a file, once as long as it is the same."""
        if faults == self._complaints.get(path, ()):
            return
        self._complaints[path] = faults
        for fault in faults[:_TOLD]:
            self._log.error(
                "List {name}: {path}: {fault}.", name=self._name, path=path, fault=fault
            )
        if len(faults) > _TOLD:
            self._log.error(
                "List {name}: {path}: and {count} more faults.",
                name=self._name,
                path=path,
                count=len(faults) - _TOLD,
            )
        if not faults:
            self._log.info(
                "List {name}: {path} is good again.", name=self._name, path=path
            )
