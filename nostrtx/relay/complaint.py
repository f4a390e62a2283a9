# -*- test-case-name: tests.relay.test_complaint -*-
"""What fails again and again, told in the log when it begins and when it is over."""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.interfaces.store import StoreError


class Complaint:
    """
    One thing that may fail, such as saving events.

    Args:
        log: Of whoever does it.
        doing: What that is, as in "Saving events"; begins a sentence.
    """

    def __init__(self, log: Logger, doing: str) -> None:
        self._log = log
        self._doing = doing
        self._reason: str | None = None

    def fails(self, reason: Exception) -> None:
        """
        It did not work, and why; told once as long as the reason is the same.

        What is no :class:`StoreError` is a fault of the relay, and told in full.
        """
        is_fault = not isinstance(reason, StoreError)
        text = repr(reason) if is_fault else str(reason)
        if text == self._reason:
            return
        self._reason = text
        doing = self._doing
        if is_fault:
            self._log.failure("{doing} fails.", failure=Failure(reason), doing=doing)
        else:
            self._log.error("{doing} fails: {reason}.", doing=doing, reason=text)

    def works(self) -> None:
        """It did."""
        if self._reason is not None:
            self._reason = None
            self._log.info("{doing} works again.", doing=self._doing)
