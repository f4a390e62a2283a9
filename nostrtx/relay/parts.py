# -*- test-case-name: tests.relay.test_relay -*-
"""What all sessions of a process share."""

from __future__ import annotations

import attrs

from nostrtx.relay.counting import Counting
from nostrtx.relay.fan_out import FanOut
from nostrtx.relay.ingest import Ingest
from nostrtx.relay.membership.invitations import Invitations
from nostrtx.relay.policies.rates import Rates
from nostrtx.relay.reconciliation import Reconciliations
from nostrtx.relay.session_auth import AuthRules
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.stored_queries import StoredQueries
from nostrtx.settings.live import LiveSettings


@attrs.frozen
class RelayParts:
    """
    The parts of the relay that a session hands its client's messages to.

    Attributes:
        ingest: Takes events.
        fan_out: Delivers live events to subscriptions.
        queries: Sends stored events to subscriptions.
        counting: Counts stored events.
        auth: When and how clients prove who they are.
        settings: What a client may ask for, among other things.
        statistics: Counts what goes on.
        invitations: Makes invite codes for members, if the relay has members.
        can_search: Whether the store finds events by words (NIP-50).
        reconciliations: Tells clients what either side lacks (NIP-77).
        rates: Counts the bytes of messages.
    """

    ingest: Ingest
    fan_out: FanOut
    queries: StoredQueries
    counting: Counting
    auth: AuthRules
    settings: LiveSettings
    statistics: Statistics
    invitations: Invitations | None
    can_search: bool
    reconciliations: Reconciliations
    rates: Rates
