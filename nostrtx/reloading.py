# -*- test-case-name: tests.test_reloading -*-
"""
Reading the settings again while the relay runs, when a signal asks for it (SIGHUP).

A file with a fault changes nothing at all. What is looked at at the start only is named
in the log and left as it is. A terminal that is closed sends the same signal, and ends
the relay that runs in it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.consistency import check_consistency
from nostrtx.settings.file import ConfigError
from nostrtx.settings.live import Change, LiveSettings
from nostrtx.settings.tree import Settings

_log = Logger()


def put_in_force(live: LiveSettings, settings: Settings) -> list[Change]:
    """
    Let other settings hold; a part that cannot follow is logged, and hurts no other.

    Returns:
        How they differ from those of before.

    Raises:
        ConfigError: They cannot be used; nothing has changed.
    """
    changes, faults = live.change(settings)
    for fault in faults:
        _log.failure(
            "Settings are not followed everywhere.",
            failure=Failure(fault, type(fault), fault.__traceback__),
        )
    return changes


def _has_terminal() -> bool:
    return os.isatty(0)


class Reloading(Service):
    """
    Reads the settings again upon SIGHUP, while this runs.

    Args:
        live: The settings of the moment.
        load: Reads those that are to hold.
        reactor: Does it in its own turn, not in the middle of something.
        set_signal: Says what comes of a signal, as ``signal.signal`` does.
        has_terminal: Whether this process has a terminal that is open.
    """

    _log = Logger()

    def __init__(
        self,
        live: LiveSettings,
        load: Callable[[], Settings],
        reactor: Any,
        set_signal: Callable[[int, Any], Any] = signal.signal,
        has_terminal: Callable[[], bool] = _has_terminal,
    ) -> None:
        self._has_terminal = has_terminal
        self._had_terminal = False
        self._live = live
        self._load = load
        self._reactor = reactor
        self._set_signal = set_signal
        self._before: Any = signal.SIG_DFL

    def startService(self) -> None:
        """Heed the signal."""
        super().startService()
        self._had_terminal = self._has_terminal()
        self._before = self._set_signal(signal.SIGHUP, self._signalled)

    def stopService(self) -> None:
        """Leave it to whoever had it before."""
        super().stopService()
        self._set_signal(signal.SIGHUP, self._before)

    def reload(self) -> None:
        """Read the settings, and let them hold if they are good."""
        try:
            settings = self._load()
            check_consistency(settings)
            changes = put_in_force(self._live, settings)
        except ConfigError as error:
            self._log.error("The settings stay as they are, for these have faults.")
            for fault in str(error).splitlines():
                self._log.error("{fault}", fault=fault)
            return
        except Exception:
            self._log.failure("The settings could not be read again.")
            return
        self._log.info("The settings were read again.")
        if not changes:
            self._log.info("Nothing has changed in them.")
        for change in changes:
            tell = self._log.warn if change.waits else self._log.info
            tell("{change}", change=str(change))

    def _signalled(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._heed)

    def _heed(self) -> None:
        if self._had_terminal and not self._has_terminal():
            self._reactor.stop()
        else:
            self.reload()
