# -*- test-case-name: tests.web.test_limits_in_words -*-
"""What a relay takes, how much of it and from whom, in words for its page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nostrtx.settings.access import AuthSettings, MembershipSettings, Nip05Settings
from nostrtx.settings.rates import RateSettings, parse_rate
from nostrtx.settings.tree import Settings

_FOR: Final = {
    "none": "",
    "write": "to publish",
    "read": "to read",
    "both": "to publish and to read",
}

_EACH: Final = {"address": "address", "connection": "connection", "pubkey": "author"}


def in_words(seconds: int) -> str:
    """A length of time in its largest whole unit, as in "15 minutes"."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            return _counted(seconds // length, unit)
    return _counted(seconds, "second")


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _kinds(kinds: Collection[int]) -> str:
    return ("kind " if len(kinds) == 1 else "kinds ") + ", ".join(map(str, kinds))


def _other_than(needed: str, kinds: Collection[int]) -> str:
    return f"{needed} other than {_kinds(kinds)}" if needed and kinds else needed


def _authentication(auth: AuthSettings) -> str:
    """What authentication (NIP-42) is needed for."""
    needed = _other_than(_FOR[auth.required], auth.open_kinds)
    reasons = [needed] if needed else []
    if auth.write_kinds:
        reasons.append(f"to publish {_kinds(auth.write_kinds)}")
    if auth.private_kinds:
        reasons.append("for private events")
    return ", and ".join(reasons) or "not needed"


def _membership(membership: MembershipSettings) -> str:
    """What one must be a member for (NIP-43)."""
    if not membership.enabled:
        return ""
    return _other_than(_FOR[membership.required], membership.open_kinds)


def _names(nip05: Nip05Settings) -> str:
    """Whether authors need a name at a domain (NIP-05)."""
    if not nip05.required:
        return ""
    # Profiles always may be, or nobody could state a name.
    needed = _other_than("to publish", sorted({0, *nip05.open_kinds}))
    domains = " or ".join(nip05.allowed_domains)
    return f"{needed}, at {domains}" if domains else needed


def _rates(rates: RateSettings) -> str:
    """How fast things may come."""
    if rates.shadow:
        return ""
    told = []
    for whose, each in _EACH.items():
        for what in ("events", "requests", "bytes", "connections"):
            rate = parse_rate(getattr(rates, f"{whose}_{what}", ""))
            if rate is not None:
                much = _counted(rate.amount, what.removesuffix("s"))
                told.append(f"{much} per {rate.period} and {each}")
    return ", ".join(told)


def limits_in_words(settings: Settings) -> list[tuple[str, str]]:
    """What is limited, and how; what may be needed only where it is."""
    limits = settings.limits
    bits = limits.min_pow_difficulty
    private = settings.auth.private_kinds
    oldest = limits.created_at_lower_seconds
    needed = [
        ("Membership", _membership(settings.membership)),
        ("A verified name", _names(settings.nip05)),
        ("Rates", _rates(settings.rates)),
    ]
    return [
        ("Longest message", _counted(limits.max_message_bytes, "byte")),
        ("Open subscriptions", f"{limits.max_subscriptions:,} per connection"),
        ("Filters", f"{limits.max_filters:,} per subscription"),
        ("Values", f"{limits.max_filter_values:,} per list in a filter"),
        (
            "Stored events",
            f"at most {limits.max_limit:,} per filter, "
            f"{min(limits.default_limit, limits.max_limit):,} by default",
        ),
        ("Tags", f"{limits.max_event_tags:,} per event"),
        ("Content", f"{_counted(limits.max_content_length, 'character')} per event"),
        ("Oldest event", f"{in_words(oldest)} old" if oldest else "any age"),
        (
            "Furthest date",
            f"{in_words(limits.created_at_upper_seconds)} in the future",
        ),
        ("Proof of work", f"{_counted(bits, 'bit')} per event" if bits else "none"),
        ("Authentication", _authentication(settings.auth)),
        (
            "Private events",
            f"{_kinds(private)}, for author and recipients" if private else "none",
        ),
        *[(what, words) for what, words in needed if words],
    ]
