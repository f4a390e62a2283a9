# -*- test-case-name: tests.test_interfaces -*-
"""What rules beyond the protocol promise."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from nostrtx.nostr.event import Event


@attrs.frozen(slots=True)
class Taken:
    """
    An event was acted upon and goes no further: neither stored nor delivered.

    Attributes:
        reason: What OK true says, beginning with a prefix; may be empty.
    """

    reason: str = ""


class IAdmission(Interface):
    """A rule beyond the protocol that says which events the relay takes."""

    def admit(event: Event) -> Deferred[Taken | None] | Taken | None:
        """
        Decide about an event of good shape and signature, before it is stored.

        Returns:
            None if the event may go on, :class:`Taken` if that was all; or a
            Deferred of either, while which other events go on. It may be cancelled.

        Raises:
            Rejected: The event is refused; the Deferred may fail with it, too.
        """
