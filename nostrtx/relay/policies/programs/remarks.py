# -*- test-case-name: tests.relay.policies.programs.test_remarks -*-
"""What a program writes, and what is wrong with it, in the log; not without end."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

#: Lines of the log in so many seconds.
MOST: Final = 20
SECONDS: Final = 10.0

#: Longest line, in characters.
MAX_LINE: Final = 500


class Remarks:
    """
    Lines of the log about one program.

    Args:
        log: Where they go.
        name: What the program is called.
        clock: Counts the seconds.
    """

    def __init__(self, log: Logger, name: str, clock: IReactorTime) -> None:
        self._log = log
        self._name = name
        self._clock = clock
        self._since = clock.seconds()
        self._said = 0

    def quote(self, line: str) -> None:
        """Repeat what the program wrote to its standard error."""
        if self._may():
            self._log.info("{name}: {line}", name=self._name, line=line[:MAX_LINE])

    def warn(self, what: str) -> None:
        """Say what is wrong with it; ``what`` goes on after its name."""
        if self._may():
            self._log.warn(
                "The policy program {name} {what}.", name=self._name, what=what
            )

    def _may(self) -> bool:
        now = self._clock.seconds()
        if now - self._since >= SECONDS:
            if self._said > MOST:
                self._log.warn(
                    "{count} more lines about the policy program {name} were left out.",
                    count=self._said - MOST,
                    name=self._name,
                )
            self._since, self._said = now, 0
        self._said += 1
        return self._said <= MOST
