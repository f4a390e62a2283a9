# -*- test-case-name: tests.settings.test_file -*-
"""Who may do what."""

from __future__ import annotations

import attrs

from nostrtx.settings.checks import (
    at_least,
    hex_keys,
    keys,
    named_keys,
    one_of,
    positive,
)


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
class ManagementSettings:
    """
    ``[management]``: who may manage the relay from afar (NIP-86).

    Attributes:
        owners: May do everything. Public keys, 64 hexadecimal digits each or npub.
        moderators: May ban, allow keys or let in members, and look at reports. Public
            keys as well.
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
