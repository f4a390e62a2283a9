# -*- test-case-name: tests.relay.test_admission -*-
"""
Rules beyond the protocol, one after the other; an event may have to wait for one.

They are asked once the signature is known to be good and the client may publish.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from nostrtx.interfaces.policies import IAdmission, Taken
from nostrtx.nostr.event import Event


@implementer(IAdmission)
class Admissions:
    """
    All rules of a relay.

    Args:
        rules: In the order in which they are asked; the first that refuses an event
            or takes it decides.
    """

    def __init__(self, rules: Sequence[IAdmission] = ()) -> None:
        self._rules = tuple(rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def admit(self, event: Event) -> Deferred[Taken | None] | Taken | None:
        """
        What becomes of an event; the result is that of :meth:`IAdmission.admit`.

        Raises:
            Rejected: It is refused.
        """
        for at, rule in enumerate(self._rules):
            verdict = rule.admit(event)
            if isinstance(verdict, Deferred):
                return Deferred.fromCoroutine(self._go_on(verdict, event, at + 1))
            if verdict is not None:
                return verdict
        return None

    async def _go_on(
        self, waiting: Deferred[Taken | None], event: Event, at: int
    ) -> Taken | None:
        verdict = await waiting
        for rule in self._rules[at:]:
            if verdict is not None:
                break
            asked = rule.admit(event)
            verdict = await asked if isinstance(asked, Deferred) else asked
        return verdict
