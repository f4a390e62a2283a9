# -*- test-case-name: tests.cli.test_logged_warnings -*-
"""What goes wrong beside the work of a command: a relay would have it in its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogPublisher,
)
from zope.interface import provider


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Write to standard error what is logged meanwhile, if it is a warning or worse."""
    observer = FilteringLogObserver(
        _show, [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)]
    )
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)


@provider(ILogObserver)
def _show(event: LogEvent) -> None:
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    click.echo(text.rstrip(), err=True)
