# -*- test-case-name: tests.web.test_information -*-
"""
The relay information document (NIP-11) that the settings make, and who asks for it.
"""

from __future__ import annotations

from typing import Any, Final

from nostrtx import __version__
from nostrtx.nostr.information import SUPPORTED_NIPS, limitation, relay_information
from nostrtx.nostr.kinds import GIFT_WRAP, PRIVATE_MESSAGE
from nostrtx.settings.policies import RuleSettings
from nostrtx.settings.tree import Settings

MEDIA_TYPE: Final = "application/nostr+json"


def information_of(settings: Settings, own_pubkey: str = "") -> dict[str, Any]:
    """
    The document of a relay with these settings.

    Args:
        settings: What the relay is and does.
        own_pubkey: The key that the relay signs with, in hexadecimal, if it does.
    """
    limits = settings.limits
    relay = settings.relay
    return relay_information(
        version=__version__,
        supported_nips=(*SUPPORTED_NIPS, *_optional_nips(settings)),
        limitation=limitation(
            max_message_bytes=limits.max_message_bytes,
            max_subscriptions=limits.max_subscriptions,
            max_limit=limits.max_limit,
            default_limit=limits.default_limit,
            max_event_tags=limits.max_event_tags,
            max_content_length=limits.max_content_length,
            created_at_lower_seconds=limits.created_at_lower_seconds,
            created_at_upper_seconds=limits.created_at_upper_seconds,
            min_pow_difficulty=limits.min_pow_difficulty,
            auth_required="both" in (settings.auth.required, _members_only(settings)),
            restricted_writes=_restricts_writing(settings),
        ),
        name=relay.name,
        description=relay.description,
        contact=relay.contact,
        pubkey=relay.pubkey,
        own_pubkey=own_pubkey,
        icon=relay.icon,
        banner=relay.banner,
        terms_of_service=relay.terms_of_service,
    )


def _optional_nips(settings: Settings) -> list[int]:
    """The NIPs that these settings turn on."""
    private = settings.auth.private_kinds
    switched = {
        4: PRIVATE_MESSAGE in private,
        13: settings.limits.min_pow_difficulty > 0
        or any(rule.pow and not rule.shadow for rule in settings.rules),
        17: GIFT_WRAP in private,
        29: settings.groups.enabled,
        43: settings.membership.enabled,
        50: settings.search.enabled,
        56: settings.management.enabled,
        59: GIFT_WRAP in private,
        66: settings.discovery.announce,
        67: settings.limits.eose_hints,
        77: settings.negentropy.enabled,
        86: settings.management.enabled,
        98: settings.management.enabled,
    }
    return [nip for nip, is_on in switched.items() if is_on]


def _restricts_writing(settings: Settings) -> bool:
    """Whether there is a condition on publishing that people must know beforehand."""
    return (
        settings.limits.min_pow_difficulty > 0
        or bool(settings.auth.write_kinds)
        or settings.nip05.required
        or settings.auth.required in ("write", "both")
        or _members_only(settings) in ("write", "both")
        or any(map(_is_condition, settings.rules))
    )


def _is_condition(rule: RuleSettings) -> bool:
    """Whether a rule refuses people by who they are, or asks work of them."""
    if rule.shadow or rule.on != "event" or rule.verdict == "accept":
        return False
    is_about_content = bool(rule.kinds or rule.words or rule.tags)
    is_about_some = bool(rule.authors or rule.addresses) or rule.trust is not None
    return (
        rule.verdict == "pow"
        or bool(rule.not_authors)
        or rule.authenticated is False
        # Whom no rule before has accepted is refused.
        or not (is_about_content or is_about_some or rule.authenticated)
    )


def _members_only(settings: Settings) -> str:
    """What only members may do, as ``auth.required`` has it."""
    return settings.membership.required if settings.membership.enabled else "none"


def wants_information(accept: str) -> bool:
    """
    Whether an ``Accept`` header names the document's media type.

    The header is a list; case and parameters do not matter, except that ``q=0``
    says that it is not wanted.
    """
    for choice in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        if media_type == MEDIA_TYPE:
            return not any(_is_zero_quality(each) for each in parameters)
    return False


def _is_zero_quality(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and not value.strip().strip("0.")
