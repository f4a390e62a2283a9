# -*- test-case-name: tests.nostr.test_authentication -*-
"""
Proof of who is speaking: over the WebSocket (NIP-42) and over HTTP (NIP-98).

Both are signed events that name this relay and the moment. What they prove, they
prove to one listener: neither kind is ever stored or passed on.

Pure: no I/O and no clock; the caller passes ``now``.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Collection, Set
from hashlib import sha256
from typing import Final

from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.nostr.kinds import CLIENT_AUTHENTICATION, HTTP_AUTHENTICATION
from nostrtx.nostr.relay_url import RelayURLError, is_one_of, parse_http_url
from nostrtx.nostr.signing import verify

#: How far from now an event of either kind may be dated, in seconds.
CLIENT_WINDOW_SECONDS: Final = 600
HTTP_WINDOW_SECONDS: Final = 60

#: Longest Authorization header that is looked at, in bytes.
MAX_HEADER_BYTES: Final = 16384

_STANDARD_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")


def check_authentication(
    members: object,
    challenges: Set[str],
    relay_urls: Collection[str],
    now: float,
) -> Event:
    """
    The event of an AUTH message, if it proves its author's presence (NIP-42).

    A challenge is not used up: several keys may answer the same one.

    Args:
        members: The decoded JSON value that the client sent.
        challenges: Those that this connection was given and may still answer.
        relay_urls: The URLs of this relay, from its settings; never from what the
            client sent, which a man in the middle could have passed on.
        now: Seconds since 1970.

    Raises:
        Rejected: ``invalid:``; the client has not proved anything.
    """
    event = parse_event(members)
    _check_kind_and_time(event, CLIENT_AUTHENTICATION, CLIENT_WINDOW_SECONDS, now)
    challenge = _first_value(event, "challenge")
    if not challenge or challenge not in challenges:
        raise invalid("the challenge is not the one that this relay sent")
    relay = _first_value(event, "relay")
    if relay is None or not is_one_of(relay, relay_urls):
        raise invalid("the relay tag does not name this relay")
    _check_signature(event)
    return event


def check_http_authentication(
    header: bytes | None,
    method: str,
    urls: Collection[str],
    body: bytes,
    now: float,
    *,
    payload_required: bool = False,
) -> Event:
    """
    The event of an Authorization header, if it entitles to the request (NIP-98).

    It stays good for a minute: where a request must not be repeated, the caller
    remembers the event's id for that long.

    Args:
        header: The header's value; None if there is none.
        method: The request's method, in upper case.
        urls: Those of the request as the public knows it, with its query. The
            event may name one with ``wss`` in the place of ``https`` (NIP-86).
        body: The request's body.
        now: Seconds since 1970.
        payload_required: Whether the event must cover the body (NIP-86).

    Raises:
        Rejected: ``auth-required:`` without a Nostr header, else ``invalid:``. Both
            are answered with the status 401.
    """
    event = parse_event(_header_members(header))
    _check_kind_and_time(event, HTTP_AUTHENTICATION, HTTP_WINDOW_SECONDS, now)
    if not _is_one_of(_first_value(event, "u"), urls):
        raise invalid("the u tag is not the URL of the request")
    if _first_value(event, "method") != method:
        raise invalid("the method tag is not the method of the request")
    payload = _first_value(event, "payload")
    if payload is None and payload_required:
        raise invalid("a payload tag is required")
    if payload is not None and payload != sha256(body).hexdigest():
        raise invalid("the payload tag is not the SHA-256 of the body")
    _check_signature(event)
    return event


def _check_kind_and_time(
    event: Event, kind: int, window_seconds: int, now: float
) -> None:
    if event.kind != kind:
        raise invalid(f"the kind must be {kind}")
    if abs(now - event.created_at) > window_seconds:
        raise invalid(f"created_at is more than {window_seconds} s from now")


def _check_signature(event: Event) -> None:
    if not verify(event.sig, event.id, event.pubkey):
        raise invalid("the signature is wrong")


def _first_value(event: Event, name: str) -> str | None:
    """The value of the first tag called ``name``; empty if the tag has none."""
    for tag in event.tags:
        if tag[0] == name:
            return tag[1] if len(tag) > 1 else ""
    return None


def _header_members(header: bytes | None) -> object:
    if header is None:
        raise Rejected(ReasonPrefix.AUTH_REQUIRED, "an Authorization header is needed")
    if len(header) > MAX_HEADER_BYTES:
        raise invalid("the Authorization header is too long")
    scheme, _, credentials = header.strip().partition(b" ")
    if scheme.lower() != b"nostr":
        raise Rejected(ReasonPrefix.AUTH_REQUIRED, "the scheme must be Nostr")
    digits = credentials.strip().translate(_STANDARD_ALPHABET)
    try:
        return loads(b64decode(digits + b"=" * (-len(digits) % 4), validate=True))
    except (binascii.Error, NotJSONError):
        raise invalid("the Authorization header holds no event in base64") from None


def _is_one_of(stated: str | None, urls: Collection[str]) -> bool:
    if stated is None:
        return False
    try:
        url = parse_http_url(stated)
        return any(parse_http_url(each) == url for each in urls)
    except RelayURLError:
        return False
