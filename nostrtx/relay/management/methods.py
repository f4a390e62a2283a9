# -*- test-case-name: tests.relay.management.test_methods -*-
"""
What can be done from afar: the methods of NIP-86 that this relay knows.

A method checks its parameters before it changes anything, and doing again what is done
changes nothing: so whoever was told of an error may call again.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorTime

from nostrtx.nostr.bans import Ban, BanKind, ban_subject
from nostrtx.nostr.kinds import MAX_KIND
from nostrtx.nostr.management import Call, CallError
from nostrtx.relay.bans import Bans
from nostrtx.relay.management.admitting import (
    Admission,
    AllowedByName,
    AllowedMembers,
    admitting_methods,
    listed,
    role_methods,
)
from nostrtx.relay.management.kinds import AllowedKinds
from nostrtx.relay.management.method import Method
from nostrtx.relay.management.profile import Profile
from nostrtx.relay.management.reported import Reported
from nostrtx.relay.membership.members import Membership
from nostrtx.settings.live import LiveSettings

#: Longest texts, in characters.
MAX_NAME: Final = 100
MAX_DESCRIPTION: Final = 10_000
MAX_URL: Final = 2048

_ID: Final = "the event's id"


def methods(
    bans: Bans,
    membership: Membership | None,
    profile: Profile,
    kinds: AllowedKinds,
    reported: Reported,
    settings: LiveSettings,
    clock: IReactorTime,
) -> dict[str, Method]:
    """
    All methods that work on a relay, by name.

    Args:
        bans: Of the relay.
        membership: Its members, if it has any.
        profile: What it says of itself.
        kinds: What may be published.
        reported: What people have reported.
        settings: Name those who cannot be banned.
        clock: Wall-clock time.
    """
    admission: Admission
    if membership is None:
        admission = AllowedByName(bans, clock)
    else:
        admission = AllowedMembers(bans, membership)
    banning = _Banning(bans, admission, settings, clock)
    known = {
        "banpubkey": Method(banning.ban_pubkey),
        "unbanpubkey": Method(banning.unban_pubkey),
        "listbannedpubkeys": Method(banning.banned_pubkeys),
        "banevent": Method(banning.ban_event),
        "unbanevent": Method(banning.unban_event),
        "allowevent": Method(banning.allow_event),
        "listbannedevents": Method(banning.banned_events),
        "listeventsneedingmoderation": Method(_Reports(reported).listed),
        "blockip": Method(banning.block_address),
        "unblockip": Method(banning.unblock_address),
        "listblockedips": Method(banning.blocked_addresses),
        "changerelayname": Method(_Naming(profile).change_name, True),
        "changerelaydescription": Method(_Naming(profile).change_description, True),
        "changerelayicon": Method(_Naming(profile).change_icon, True),
        "allowkind": Method(_Kinds(kinds).allow, True),
        "disallowkind": Method(_Kinds(kinds).disallow, True),
        "listallowedkinds": Method(_Kinds(kinds).allowed),
        **admitting_methods(admission),
    }
    if membership is not None:
        known |= role_methods(membership)
    return known


class _Banning:
    """Bans, made and lifted."""

    def __init__(
        self,
        bans: Bans,
        admission: Admission,
        settings: LiveSettings,
        clock: IReactorTime,
    ) -> None:
        self._bans = bans
        self._admission = admission
        self._settings = settings
        self._clock = clock

    async def ban_pubkey(self, call: Call) -> bool:
        pubkey = call.pubkey_param(0)
        management = self._settings.now.management
        if pubkey in (*management.owners, *management.moderators):
            raise CallError("owners and moderators cannot be banned")
        await self._put(BanKind.PUBKEY, pubkey, call.reason_param(1))
        await self._admission.unallow(pubkey)
        return True

    async def unban_pubkey(self, call: Call) -> bool:
        await self._bans.lift(BanKind.PUBKEY, call.pubkey_param(0))
        return True

    async def banned_pubkeys(self, call: Call) -> object:
        return self._listed(BanKind.PUBKEY, "pubkey")

    async def ban_event(self, call: Call) -> bool:
        event_id, reason = call.hex_param(0, _ID), call.reason_param(1)
        await self._put(BanKind.EVENT, event_id, reason)
        return True

    async def unban_event(self, call: Call) -> bool:
        await self._bans.lift(BanKind.EVENT, call.hex_param(0, _ID))
        return True

    async def allow_event(self, call: Call) -> bool:
        event_id, reason = call.hex_param(0, _ID), call.reason_param(1)
        await self._put(BanKind.ALLOWED_EVENT, event_id, reason)
        return True

    async def banned_events(self, call: Call) -> object:
        return self._listed(BanKind.EVENT, "id")

    async def block_address(self, call: Call) -> bool:
        address, reason = _address(call), call.reason_param(1)
        if address.endswith("/0"):
            raise CallError("everybody can be banned with nostrtx bans only")
        await self._put(BanKind.ADDRESS, address, reason)
        return True

    async def unblock_address(self, call: Call) -> bool:
        await self._bans.lift(BanKind.ADDRESS, _address(call))
        return True

    async def blocked_addresses(self, call: Call) -> object:
        return self._listed(BanKind.ADDRESS, "ip")

    async def _put(self, kind: BanKind, subject: str, reason: str) -> None:
        now = int(self._clock.seconds())
        await self._bans.put([Ban(kind, subject, reason, now)])

    def _listed(self, kind: BanKind, called: str) -> list[dict[str, str]]:
        return listed(self._bans.banned.bans(kind), called)


class _Reports:
    """Events that people have reported."""

    def __init__(self, reported: Reported) -> None:
        self._reported = reported

    async def listed(self, call: Call) -> object:
        return [
            {"id": id_.hex(), "reason": reason}
            for id_, reason in await self._reported.undecided()
        ]


class _Naming:
    """What the relay says of itself; an empty text is what the settings say."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    async def change_name(self, call: Call) -> bool:
        name = call.text_param(0, "the name", MAX_NAME)
        await self._profile.change("name", name)
        return True

    async def change_description(self, call: Call) -> bool:
        text = call.text_param(0, "the description", MAX_DESCRIPTION, has_lines=True)
        await self._profile.change("description", text)
        return True

    async def change_icon(self, call: Call) -> bool:
        url = call.text_param(0, "the icon", MAX_URL)
        if url and not _is_web_url(url):
            raise CallError("the icon must be a URL that begins with https://")
        await self._profile.change("icon", url)
        return True


class _Kinds:
    """Kinds that may be published."""

    def __init__(self, kinds: AllowedKinds) -> None:
        self._kinds = kinds

    async def allow(self, call: Call) -> bool:
        await self._kinds.allow(_kind(call))
        return True

    async def disallow(self, call: Call) -> bool:
        await self._kinds.disallow(_kind(call))
        return True

    async def allowed(self, call: Call) -> list[int]:
        return sorted(self._kinds.allowed)


def _kind(call: Call) -> int:
    kind = call.number_param(0, "the kind")
    if kind is None or not 0 <= kind <= MAX_KIND:
        raise CallError(f"the kind must be a number from 0 to {MAX_KIND}")
    return kind


def _address(call: Call) -> str:
    address = call.param(0)
    if not isinstance(address, str):
        raise CallError("the address must be a text")
    return ban_subject(BanKind.ADDRESS, address)


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.netloc) and " " not in text
