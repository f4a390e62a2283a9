# -*- test-case-name: tests.test_twistd_log -*-
"""
The log that ``twistd`` writes, as JSON.

It goes where the text would go. twistd lets an application bring its own observer, and
then leaves the choice of the file to it, too.
"""

from __future__ import annotations

import signal
import sys
import syslog
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from twisted.application.service import IService, MultiService
from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from zope.interface import implementer

from nostrtx.log_records import json_line

#: How urgent syslog is told that a level is.
_PRIORITIES: Final = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_CRIT,
}


def observer_for(options: Mapping[str, Any], reactor: Any) -> ILogObserver:
    """
    What writes JSON where twistd would write text.

    Args:
        options: Of twistd; none for how it starts without any, and not as a daemon.
        reactor: Runs what a signal asks for.

    Raises:
        SystemExit: A daemon has no standard output.
        OSError: A file cannot be written.
    """
    if options.get("syslog"):
        syslog.openlog(options.get("prefix") or "twisted")
        return SyslogObserver(syslog.syslog)
    return json_observer(file_of(options, reactor))


def file_of(options: Mapping[str, Any], reactor: Any) -> TextIO:
    """
    Where twistd would write its log.

    Args:
        options: Of twistd; none for how it starts without any, and not as a daemon.
        reactor: Runs what a signal asks for.

    Raises:
        SystemExit: A daemon has no standard output.
        OSError: The file cannot be written.
    """
    name = options.get("logfile") or ""
    stays = options.get("nodaemon", True)
    if name == "-" and not stays:
        raise SystemExit("nostr-relay: a daemon cannot log to standard output")
    if name == "-" or (stays and not name):
        return sys.stdout
    file: Any = LogFile.fromFullPath(name or "twistd.log")

    def rotate(number: int, frame: object) -> None:
        reactor.callFromThread(file.rotate)

    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, rotate)
    return file  # type: ignore[no-any-return]


def json_observer(file: TextIO) -> FileLogObserver:
    """Writes each log event to ``file`` as a JSON object on a line of its own."""
    return FileLogObserver(file, json_line)


@implementer(ILogObserver)
class SyslogObserver:
    """
    Sends each log event to syslog as a JSON object.

    Args:
        send: Takes the priority and the text.
    """

    def __init__(self, send: Callable[[int, str], None]) -> None:
        self._send = send

    def __call__(self, event: LogEvent) -> None:
        """Send one log event, if it tells anything."""
        line = json_line(event)
        if line is not None:
            level = event.get("log_level")
            self._send(_PRIORITIES.get(level, syslog.LOG_INFO), line.rstrip("\n"))


class LoggingService(MultiService):
    """
    A relay that brings its log along into the application that runs it.

    Args:
        relay: What is run.
        observer: Takes what is logged, from when twistd begins to.
    """

    def __init__(self, relay: IService, observer: ILogObserver) -> None:
        super().__init__()
        self._observer = observer
        relay.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Become a part of an application, and its log observer."""
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)
