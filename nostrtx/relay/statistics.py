# -*- test-case-name: tests.relay.test_statistics -*-
"""What the relay counts while it runs."""

from __future__ import annotations

from typing import Final

import attrs

from nostrtx.relay.measurements import Measurements

#: Those that tell how things are now; all others only grow.
GAUGES: Final = frozenset({"sessions", "subscriptions", "log_lag"})


@attrs.define(slots=True)
class Statistics:
    """
    Counters of one relay process since it started; gauges where it says so.

    Attributes:
        sessions: Gauge: clients that are connected.
        subscriptions: Gauge: subscriptions that are open.
        events_received: EVENT messages.
        events_stored: Events that were committed.
        events_passed_on: Ephemeral events that were delivered without storing.
        events_taken: Requests to the relay itself that were granted.
        events_duplicate: Events that the relay had already.
        events_refused: Events answered with OK false.
        requests: REQ messages.
        requests_refused: REQ messages answered with CLOSED at once.
        reconciliations: NEG-OPEN messages.
        reconciliations_refused: NEG-OPEN messages answered with NEG-ERR.
        counts: COUNT messages.
        counts_refused: COUNT messages answered with CLOSED at once.
        events_sent: Stored events sent in answer to REQ messages.
        events_delivered: Live events sent to subscriptions.
        notices: Messages that could only be answered with NOTICE.
        events_expired: Events removed because their time had come.
        events_heard: Events that other processes of the relay told of.
        events_read: Events of other processes that were found in the store's log.
        log_lag: Gauge: how many events of the log are known to be there and have not
            been delivered by this process.
        measurements: What is measured beyond that.
    """

    sessions: int = 0
    subscriptions: int = 0
    events_received: int = 0
    events_stored: int = 0
    events_passed_on: int = 0
    events_taken: int = 0
    events_duplicate: int = 0
    events_refused: int = 0
    requests: int = 0
    requests_refused: int = 0
    reconciliations: int = 0
    reconciliations_refused: int = 0
    counts: int = 0
    counts_refused: int = 0
    events_sent: int = 0
    events_delivered: int = 0
    notices: int = 0
    events_expired: int = 0
    events_heard: int = 0
    events_read: int = 0
    log_lag: int = 0
    measurements: Measurements = attrs.field(factory=Measurements, eq=False)

    def facts(self) -> dict[str, int]:
        """All counters by name, and what is measured."""
        facts = attrs.asdict(self, recurse=False)
        del facts["measurements"]
        facts.update(self.measurements.facts())
        return facts
