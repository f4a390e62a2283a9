# -*- test-case-name: tests.relay.policies.programs.test_files -*-
"""Notices that the files of a program have changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shutil import which

_State = tuple[tuple[int, int, int], ...]


class ProgramFiles:
    """
    The files that a command names: the program, and arguments that are files.

    Args:
        arguments: The command.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        found = [which(arguments[0]) or arguments[0], *arguments[1:]]
        self._paths = [path for path in found if os.path.isfile(path)]
        self._known = self._last = self._state()

    def have_changed(self) -> bool:
        """
        Whether they have changed since this was true before.

        They have once they look the same twice in a row, for somebody may be at work
        on them; and what is not there is no change yet.
        """
        state, last = self._state(), self._last
        self._last = state
        if state is None or state != last or state == self._known:
            return False
        self._known = state
        return True

    def _state(self) -> _State | None:
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError:
            return None
        return tuple([(one.st_mtime_ns, one.st_size, one.st_ino) for one in found])
