# -*- test-case-name: tests.settings.test_file -*-
"""What a client may ask for, and how long and with what the relay works on it."""

from __future__ import annotations

import attrs

from nostrtx.settings.checks import at_least, positive


@attrs.frozen
class LimitSettings:
    """
    ``[limits]``: what one client may ask for. Announced in NIP-11 where it can be.

    Attributes:
        max_message_bytes: Longest message of a client.
        max_subscriptions: Open subscriptions per connection.
        max_filters: Filters per REQ.
        max_filter_values: Values in one list of a filter.
        max_limit: Most stored events per filter; larger limits are lowered to it.
        default_limit: Stored events for a filter that states no limit.
        max_event_tags: Tags per event.
        max_content_length: Unicode characters in an event's content.
        created_at_lower_seconds: How old an event may be; 0 for any age.
        created_at_upper_seconds: How far in the future an event may be dated.
        max_connections: Connections in all; 0 for no limit.
        max_connections_per_address: Connections from one address (IPv6: one /64);
            0 for no limit. Loopback addresses are not counted: a proxy sits there.
        max_outbound_bytes: What may wait for one slow reader before it is cut off.
        min_pow_difficulty: Proof of work that an event must show (NIP-13), in bits;
            0 asks for none.
        require_pow_commitment: Whether an event must also state the difficulty it
            aimed at, so that luck does not count.
        eose_hints: Whether EOSE says if everything that matches was sent (NIP-67),
            where that is known. Some clients expect EOSE to have two members.
    """

    max_message_bytes: int = attrs.field(default=512_000, validator=at_least(1024))
    max_subscriptions: int = attrs.field(default=200, validator=at_least(1))
    max_filters: int = attrs.field(default=100, validator=at_least(1))
    max_filter_values: int = attrs.field(default=5000, validator=at_least(1))
    max_limit: int = attrs.field(default=5000, validator=at_least(1))
    default_limit: int = attrs.field(default=500, validator=at_least(1))
    max_event_tags: int = attrs.field(default=10_000, validator=at_least(0))
    max_content_length: int = attrs.field(default=400_000, validator=at_least(0))
    created_at_lower_seconds: int = attrs.field(default=0, validator=at_least(0))
    created_at_upper_seconds: int = attrs.field(default=900, validator=at_least(0))
    max_connections: int = attrs.field(default=0, validator=at_least(0))
    max_connections_per_address: int = attrs.field(default=100, validator=at_least(0))
    max_outbound_bytes: int = attrs.field(
        default=8 * 1024 * 1024, validator=at_least(65536)
    )
    min_pow_difficulty: int = attrs.field(default=0, validator=at_least(0, 256))
    require_pow_commitment: bool = True
    eose_hints: bool = True


@attrs.frozen
class TimingSettings:
    """
    ``[timing]``: how long things may take.

    Attributes:
        handshake_seconds: From connecting to the end of the request's head, and again
            to the end of its body.
        ping_seconds: How often a silent client is pinged; one that stays silent
            for as long again is cut off. 0 turns pings off.
        query_slice_seconds: How long stored queries run before the relay turns to
            other clients.
        query_budget_seconds: How long the store may work for one REQ or COUNT, all
            slices together; after that a REQ is closed with what was sent, and a
            COUNT answered with what was counted.
        expiry_sweep_seconds: How often expired events are removed from the store.
        shutdown_seconds: How long stopping may wait for events under way to be
            saved, and then for clients to take what is queued for them.
        certificate_seconds: How often the files of certificates are read, for those
            endpoints that speak TLS.
        drain_seconds: Over how long a relay spreads its clients' good-byes, when
            another one has taken over its ports.
    """

    handshake_seconds: float = attrs.field(default=10.0, validator=positive)
    ping_seconds: float = attrs.field(default=50.0, validator=at_least(0))
    query_slice_seconds: float = attrs.field(default=0.005, validator=positive)
    query_budget_seconds: float = attrs.field(default=2.0, validator=positive)
    expiry_sweep_seconds: float = attrs.field(default=5.0, validator=positive)
    shutdown_seconds: float = attrs.field(default=5.0, validator=at_least(0))
    certificate_seconds: float = attrs.field(default=60.0, validator=positive)
    drain_seconds: float = attrs.field(default=5.0, validator=at_least(0))


@attrs.frozen
class IngestSettings:
    """
    ``[ingest]``: the way of an event into the store.

    Attributes:
        verifier_processes: Processes that check signatures; -1 for one per core
            but one, at least one. 0 checks them all in the relay's own process.
        max_batch_events: Most events in one transaction.
    """

    verifier_processes: int = attrs.field(default=-1, validator=at_least(-1))
    max_batch_events: int = attrs.field(default=256, validator=at_least(1))


@attrs.frozen
class NegentropySettings:
    """
    ``[negentropy]``: reconciling whole sets of events (NIP-77).

    Attributes:
        enabled: Whether it is offered.
        max_events: Most events in one set; larger ones are refused.
        max_sessions: Reconciliations under way per connection.
        max_frame_bytes: Longest message of the relay, before it is written in
            hexadecimal, which doubles it.
        idle_seconds: How long a client may take for its next message.
    """

    enabled: bool = True
    max_events: int = attrs.field(default=1_000_000, validator=at_least(1))
    max_sessions: int = attrs.field(default=8, validator=at_least(1))
    max_frame_bytes: int = attrs.field(
        default=250_000, validator=at_least(4096, 4_000_000)
    )
    idle_seconds: float = attrs.field(default=120.0, validator=at_least(60, 300))
