# -*- test-case-name: tests.test_config -*-
"""
Settings: a tree of frozen values, one class for each table of the settings file.

Every setting has a default, so an empty file (or none) is a working relay on the
loopback interface. Units stand in the names. The limits that the information
document announces (NIP-11) are the very fields that are enforced.
"""

from __future__ import annotations

import os

import attrs

from nostrtx.config_checks import (
    at_least,
    channel,
    empty_or_key,
    empty_or_redis_url,
    empty_or_url,
    hex_key,
    hex_keys,
    keys,
    named_keys,
    node_name,
    not_empty,
    one_of,
    origins,
    positive,
    proxies,
    sentinels,
    urls,
)


@attrs.frozen
class RelaySettings:
    """
    ``[relay]``: what the relay says of itself (NIP-11). Empty means unsaid.

    Attributes:
        url: The URL clients use, when it is not the one the relay listens on.
        other_urls: Further URLs that lead here; a client may authenticate for any.
        name: Shorter than 30 characters.
        description: Any length.
        contact: A URI, such as ``mailto:operator@example.com``.
        pubkey: The operator's public key: 64 hexadecimal digits, or npub (NIP-19).
        key_file: Where the relay's own secret key lies; empty for ``relay.key`` in
            the store's directory. Made when it is needed and missing. With a store
            in PostgreSQL it must be named, and hold the same key on every node.
        icon: URL of a square picture.
        banner: URL of a wide picture.
        terms_of_service: URL of the terms.
    """

    url: str = attrs.field(default="", validator=empty_or_url)
    other_urls: tuple[str, ...] = attrs.field(default=(), validator=urls)
    name: str = "nostrtx"
    description: str = ""
    contact: str = ""
    pubkey: str = attrs.field(default="", converter=hex_key, validator=empty_or_key)
    key_file: str = ""
    icon: str = ""
    banner: str = ""
    terms_of_service: str = ""

    @property
    def urls(self) -> list[str]:
        """All URLs that are set."""
        return [url for url in (self.url, *self.other_urls) if url]


@attrs.frozen
class ListenSettings:
    """
    ``[listen]``: where clients connect.

    Attributes:
        endpoints: Twisted endpoint descriptions.
        trusted_proxies: HTTP proxies whose word on where a client comes from counts:
            addresses, networks, ``unix`` for whoever connects to a UNIX socket.
        client_header: The header that they say it with: ``x-forwarded-for`` or
            ``forwarded`` (RFC 7239).
    """

    endpoints: tuple[str, ...] = attrs.field(
        default=("tcp:7447:interface=127.0.0.1",), validator=not_empty
    )
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=proxies)
    client_header: str = attrs.field(
        default="x-forwarded-for", validator=one_of("x-forwarded-for", "forwarded")
    )


@attrs.frozen
class StoreSettings:
    """
    ``[store]``: where events are kept.

    Attributes:
        url: ``lmdb:PATH`` (a directory), ``postgresql://...`` (shared by nodes) or
            ``memory:`` (lost on exit).
        max_gigabytes: Most that an LMDB store may grow to; the file is only as
            large as its content.
        replica_url: A PostgreSQL that follows the one in ``url`` and may answer
            queries; empty for none.
        connections: Connections of each process to PostgreSQL for queries, and
            as many to its replica. Some more are for writing.
    """

    url: str = attrs.field(default="lmdb:data", repr=False)
    max_gigabytes: int = attrs.field(default=1024, validator=at_least(1, 65_536))
    replica_url: str = attrs.field(default="", repr=False)
    connections: int = attrs.field(default=4, validator=at_least(1, 1000))

    @property
    def directory(self) -> str | None:
        """Where a store on this machine lies; None for any other."""
        scheme, _, path = self.url.partition(":")
        return path if scheme == "lmdb" and path else None

    @property
    def is_shared(self) -> bool:
        """Whether nodes on several machines may use the store: it is a PostgreSQL."""
        return self.url.startswith(("postgresql://", "postgres://"))


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
        handshake_seconds: From connecting to the end of the request's head.
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
    """

    handshake_seconds: float = attrs.field(default=10.0, validator=positive)
    ping_seconds: float = attrs.field(default=50.0, validator=at_least(0))
    query_slice_seconds: float = attrs.field(default=0.005, validator=positive)
    query_budget_seconds: float = attrs.field(default=2.0, validator=positive)
    expiry_sweep_seconds: float = attrs.field(default=5.0, validator=positive)
    shutdown_seconds: float = attrs.field(default=5.0, validator=at_least(0))


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
class AuthSettings:
    """
    ``[auth]``: who must prove who it is (NIP-42), and for what.

    Attributes:
        required: What needs authentication: ``none``, ``write``, ``read``, ``both``.
        write_kinds: Kinds that only an authenticated client may publish.
        open_kinds: Kinds that anybody may publish and ask for all the same: what
            others need to find their way to a person.
        private_kinds: Kinds that only their author and those named in their ``p``
            tags may read.
        max_pubkeys: Keys that one connection may authenticate with.
    """

    required: str = attrs.field(
        default="none", validator=one_of("none", "write", "read", "both")
    )
    write_kinds: tuple[int, ...] = ()
    open_kinds: tuple[int, ...] = (0, 3, 10002, 10050)
    private_kinds: tuple[int, ...] = (4, 1059, 21059)
    max_pubkeys: int = attrs.field(default=64, validator=at_least(1))


@attrs.frozen
class WebSocketSettings:
    """
    ``[websocket]``: how messages travel.

    Attributes:
        compression: Whether a client that offers permessage-deflate may send
            compressed messages, and gets live events compressed.
        allowed_origins: Where web pages that connect may come from; none for
            anywhere. Who is no web page has no origin, and may connect.
    """

    compression: bool = True
    allowed_origins: tuple[str, ...] = attrs.field(default=(), validator=origins)


@attrs.frozen
class SearchSettings:
    """
    ``[search]``: finding events by words (NIP-50).

    Attributes:
        enabled: Whether events are indexed for it. An LMDB store needs the extra
            ``nostrtx[search]``; without it there is no search.
    """

    enabled: bool = True


@attrs.frozen
class MembershipSettings:
    """
    ``[membership]``: who may use the relay (NIP-43).

    Attributes:
        enabled: Whether the relay has members.
        required: What only members may do: ``none``, ``write``, ``read``, ``both``.
        open_kinds: Kinds that others may publish and ask for all the same.
        members_invite: Whether members get invite codes to give away.
        invite_uses: How many may join with such a code.
        invite_days: How long such a code is good.
        file: Where members and codes are kept; empty for ``membership.sqlite`` in
            the store's directory, or for the store itself if it is a PostgreSQL.
    """

    enabled: bool = False
    required: str = attrs.field(
        default="write", validator=one_of("none", "write", "read", "both")
    )
    open_kinds: tuple[int, ...] = ()
    members_invite: bool = False
    invite_uses: int = attrs.field(default=1, validator=at_least(1))
    invite_days: int = attrs.field(default=7, validator=at_least(1))
    file: str = ""


@attrs.frozen
class GroupSettings:
    """
    ``[groups]``: groups that live on this relay (NIP-29).

    Attributes:
        enabled: Whether there are any.
        create: Who may make one: ``anyone``, or ``listed`` for ``creators`` and the
            operator.
        creators: Public keys, 64 hexadecimal digits each or npub (NIP-19).
        unknown: What becomes of an event for a group that does not exist:
            ``refuse`` or ``accept``.
        late_hours: How old an event may be when it comes to its group; 0 for any age.
        min_references: How many earlier events of the group an event must refer to,
            if there are so many.
        invite_once: Whether an invite code lets in one only.
        invite_days: How long an invite code is good; 0 for ever.
    """

    enabled: bool = False
    create: str = attrs.field(default="anyone", validator=one_of("anyone", "listed"))
    creators: tuple[str, ...] = attrs.field(
        default=(), converter=hex_keys, validator=keys
    )
    unknown: str = attrs.field(default="refuse", validator=one_of("refuse", "accept"))
    late_hours: int = attrs.field(default=3, validator=at_least(0))
    min_references: int = attrs.field(default=0, validator=at_least(0, 50))
    invite_once: bool = True
    invite_days: int = attrs.field(default=7, validator=at_least(0))


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


@attrs.frozen
class Nip05Settings:
    """
    ``[nip05]``: names at domains, of authors here and of this domain (NIP-05).

    Attributes:
        required: Whether only authors may write for whom a domain vouches.
        allowed_domains: If any are named, only these and what is below them count.
        blocked_domains: These and what is below them do not count.
        open_kinds: Kinds that others may publish; profiles always may.
        valid_seconds: How long a domain's word holds.
        retry_seconds: When a domain that did not vouch may be asked again.
        grace_seconds: How long the last word holds on while a domain does not answer.
        timeout_seconds: How long a domain may take to answer.
        max_document_bytes: Longest answer of a domain.
        max_lookups: Domains asked at a time.
        max_waiting: Events that may wait for domains.
        local_addresses: Whether domains inside the network and other ports than the
            usual one may be asked; for trials only.
        names: Of this domain, each with its key; served under ``/.well-known``.
    """

    required: bool = False
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    open_kinds: tuple[int, ...] = (5, 62)
    valid_seconds: float = attrs.field(default=86_400.0, validator=positive)
    retry_seconds: float = attrs.field(default=600.0, validator=positive)
    grace_seconds: float = attrs.field(default=604_800.0, validator=at_least(0))
    timeout_seconds: float = attrs.field(default=5.0, validator=positive)
    max_document_bytes: int = attrs.field(default=262_144, validator=at_least(1024))
    max_lookups: int = attrs.field(default=20, validator=at_least(1))
    max_waiting: int = attrs.field(default=1000, validator=at_least(1))
    local_addresses: bool = False
    names: dict[str, str] = attrs.field(factory=dict, validator=named_keys)


@attrs.frozen
class DiscoverySettings:
    """
    ``[discovery]``: the relay's announcement of itself (NIP-66).

    Attributes:
        announce: Whether there is one; ``relay.url`` must be set.
        refresh_seconds: How often it is renewed.
        relay_type: What sort of relay this is, in PascalCase; empty for unsaid.
        topics: What it is about.
        languages: Spoken on it, as two-letter codes (ISO 639-1).
        geohash: Where it stands; empty for unsaid.
    """

    announce: bool = False
    refresh_seconds: float = attrs.field(default=3600.0, validator=at_least(60))
    relay_type: str = ""
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    geohash: str = ""


@attrs.frozen
class ClusterSettings:
    """
    ``[cluster]``: the processes that are one relay together.

    Attributes:
        workers: Processes that serve clients on this machine, over one store; 0 for
            one per core.
        node: What this machine is called among the others; empty for its host name.
        redis: Where news travels between nodes: ``redis://``, ``rediss://`` or
            ``unix://``; empty for none.
        sentinels: Hosts and ports of Redis Sentinels that know where it is, instead
            of the host in ``redis``.
        sentinel_service: What they call it.
        channel: Begins the names of all that the relay has in Redis.
        secret_file: A file with the cluster's secrets, 64 hexadecimal digits each on
            a line of its own: news is sealed with the first and accepted with any.
        poll_seconds: How often the store is asked for what news did not tell.
    """

    workers: int = attrs.field(default=1, validator=at_least(0, 256))
    node: str = attrs.field(default="", validator=node_name)
    redis: str = attrs.field(default="", repr=False, validator=empty_or_redis_url)
    sentinels: tuple[str, ...] = attrs.field(
        default=(), repr=False, validator=sentinels
    )
    sentinel_service: str = "mymaster"
    channel: str = attrs.field(default="nostrtx", validator=channel)
    secret_file: str = ""
    poll_seconds: float = attrs.field(default=1.0, validator=positive)


@attrs.frozen
class ManagementSettings:
    """
    ``[management]``: who may manage the relay from afar (NIP-86).

    Attributes:
        owners: May do everything. Public keys, 64 hexadecimal digits each or npub.
        moderators: May ban, and let in members. Public keys as well.
    """

    owners: tuple[str, ...] = attrs.field(
        default=(), converter=hex_keys, validator=keys
    )
    moderators: tuple[str, ...] = attrs.field(
        default=(), converter=hex_keys, validator=keys
    )

    @property
    def enabled(self) -> bool:
        """Whether there is anybody who may."""
        return bool(self.owners or self.moderators)


@attrs.frozen
class LogSettings:
    """
    ``[log]``: what is written to twistd's log besides changes of state and faults.

    Attributes:
        connections: Whether every connection that ends gets a line: how long it
            lasted, what went in and out, why it ended.
        addresses: How that line names the client's address: ``none``, ``plain``, or
            ``hashed`` with a key that is forgotten every day.
        slow_query_seconds: A query for which the store works so long gets a line, at
            most one a second: the shape of its filters, and no values. 0 for none.
    """

    connections: bool = False
    addresses: str = attrs.field(
        default="none", validator=one_of("none", "hashed", "plain")
    )
    slow_query_seconds: float = attrs.field(default=1.0, validator=at_least(0))


@attrs.frozen
class AdminSettings:
    """
    ``[admin]``: metrics and health, on ports of their own.

    Attributes:
        endpoints: Twisted endpoint descriptions; none if there are none. Whoever can
            connect there may read all of it, so name a private address.
    """

    endpoints: tuple[str, ...] = ()


@attrs.frozen
class Settings:
    """All settings, one attribute per table of the TOML file."""

    relay: RelaySettings = RelaySettings()
    listen: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    timing: TimingSettings = TimingSettings()
    ingest: IngestSettings = IngestSettings()
    auth: AuthSettings = AuthSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    search: SearchSettings = SearchSettings()
    membership: MembershipSettings = MembershipSettings()
    nip05: Nip05Settings = Nip05Settings()
    discovery: DiscoverySettings = DiscoverySettings()
    groups: GroupSettings = GroupSettings()
    negentropy: NegentropySettings = NegentropySettings()
    cluster: ClusterSettings = ClusterSettings()
    management: ManagementSettings = ManagementSettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()

    @property
    def key_file(self) -> str | None:
        """Where the relay's own key lies; None if it is forgotten on exit."""
        return self.relay.key_file or self._beside_store("relay.key")

    @property
    def membership_file(self) -> str | None:
        """
        The file in which members and codes are kept.

        None if they are in a shared store, or forgotten on exit as those in memory.
        """
        return self.membership.file or self._beside_store("membership.sqlite")

    @property
    def signs(self) -> bool:
        """Whether the relay signs anything, so that it needs a key of its own."""
        return self.discovery.announce or self.membership.enabled or self.groups.enabled

    def _beside_store(self, name: str) -> str | None:
        directory = self.store.directory
        return None if directory is None else os.path.join(directory, name)
