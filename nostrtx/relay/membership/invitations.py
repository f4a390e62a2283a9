# -*- test-case-name: tests.relay.membership.test_invitations -*-
"""
Invitations on request: a REQ for kind 28935 is answered by one made for the asker.

It is signed when it is asked for, sent before the stored events, and neither stored
nor shown to anyone else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.membership import INVITE
from nostrtx.relay.membership.access import Access
from nostrtx.relay.membership.members import Membership
from nostrtx.relay.session_auth import SessionAuth
from nostrtx.relay.subscription import Subscription
from nostrtx.settings.live import LiveSettings

_Start = Callable[[Subscription, Sequence[Filter]], None]


class Invitations:
    """
    Invitations for those who may give them.

    Args:
        membership: Makes them.
        access: Says who is a member.
        settings: Whether members may invite.
    """

    _log = Logger()

    def __init__(
        self, membership: Membership, access: Access, settings: LiveSettings
    ) -> None:
        self._membership = membership
        self._access = access
        self._settings = settings

    def check(self, filters: Sequence[Filter], auth: SessionAuth) -> None:
        """
        Refuse filters that ask for nothing but an invitation which cannot be had.

        Raises:
            Rejected: ``auth-required:`` after the challenge was sent, or
                ``restricted:``.
        """
        if not all(one.kinds == (INVITE,) for one in filters):
            return
        if not self._settings.now.membership.members_invite:
            raise Rejected(ReasonPrefix.RESTRICTED, "only the operator invites")
        if not auth.pubkeys:
            auth.challenge()
            raise Rejected(ReasonPrefix.AUTH_REQUIRED, "invitations are for members")
        if not self._access.is_member(auth.pubkeys):
            raise Rejected(ReasonPrefix.RESTRICTED, "invitations are for members")

    def are_asked_for(self, filters: Sequence[Filter], auth: SessionAuth) -> bool:
        """Whether the filters name the kind of invitations, and the asker may."""
        return (
            self._settings.now.membership.members_invite
            and any(one.kinds and INVITE in one.kinds for one in filters)
            and self._access.is_member(auth.pubkeys)
        )

    def send(
        self, subscription: Subscription, filters: Sequence[Filter], go_on: _Start
    ) -> None:
        """Send an invitation, then ``go_on`` with the stored events."""
        sending = Deferred.fromCoroutine(self._send(subscription, filters, go_on))
        if not sending.called:
            subscription.cancel_query = sending.cancel

    async def _send(
        self, subscription: Subscription, filters: Sequence[Filter], go_on: _Start
    ) -> None:
        try:
            event = await self._membership.invitation(sorted(subscription.auth.pubkeys))
        except CancelledError:
            return
        except Exception:
            self._log.failure("An invitation could not be made.")
            subscription.cancel_query = None
            subscription.refuse(Rejected(ReasonPrefix.ERROR, "internal error"))
            return
        if event is not None and any(
            one.matches(event) and one.limit != 0 for one in filters
        ):
            subscription.client.send(b"%b%b]" % (subscription.prefix, event.raw))
        subscription.cancel_query = None
        go_on(subscription, filters)
