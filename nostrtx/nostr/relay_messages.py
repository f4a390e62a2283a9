# -*- test-case-name: tests.nostr.test_relay_messages -*-
"""
What a relay says: EVENT, OK, EOSE, CLOSED, NOTICE (NIP-01), AUTH, COUNT, NEG-….

Each function gives the UTF-8 text of one WebSocket message. Subscription ids go in
as JSON, so that one is escaped once per subscription and not once per message.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from binascii import hexlify

from nostrtx.nostr.json import dumps


def event_prefix(subscription_json: bytes) -> bytes:
    """What stands before the JSON of an event; a ``]`` follows it."""
    return b'["EVENT",%b,' % subscription_json


def ok(id_: str, accepted: bool, reason: str) -> bytes:
    """Whether the event with this id was taken, and why (not)."""
    if accepted and not reason and id_.isalnum():
        return b'["OK","%b",true,""]' % id_.encode()
    return dumps(["OK", id_, accepted, reason])


def eose(subscription_json: bytes, more: bool | None = None) -> bytes:
    """
    The stored events have been sent.

    Args:
        subscription_json: The client's name for the subscription.
        more: Whether others match that were not sent (NIP-67); None says nothing.
    """
    if more is None:
        return b'["EOSE",%b]' % subscription_json
    return b'["EOSE",%b,["%b"]]' % (subscription_json, b"more" if more else b"finish")


def auth(challenge: str) -> bytes:
    """What a client is to sign to prove who it is (NIP-42)."""
    return dumps(["AUTH", challenge])


def closed(subscription_json: bytes, reason: str) -> bytes:
    """The relay ended, or refused, a subscription."""
    return b'["CLOSED",%b,%b]' % (subscription_json, dumps(reason))


def count(
    query_json: bytes, number: int, is_approximate: bool, registers: str | None = None
) -> bytes:
    """
    How many events match (NIP-45).

    Args:
        query_json: The client's name for the question.
        number: How many.
        is_approximate: Whether there may be more.
        registers: HyperLogLog registers of the authors, in hexadecimal.
    """
    members: dict[str, object] = {"count": number}
    if is_approximate:
        members["approximate"] = True
    if registers is not None:
        members["hll"] = registers
    return b'["COUNT",%b,%b]' % (query_json, dumps(members))


def neg_msg(session_json: bytes, message: bytes) -> bytes:
    """The relay's next step in a reconciliation (NIP-77); sent in hexadecimal."""
    return b'["NEG-MSG",%b,"%b"]' % (session_json, hexlify(message))


def neg_err(session_json: bytes, reason: str, most: int | None = None) -> bytes:
    """
    The relay ended, or refused, a reconciliation (NIP-77).

    Args:
        session_json: The client's name for it.
        reason: Why.
        most: How many events the relay reconciles, where it would have been more.
    """
    if most is None:
        return b'["NEG-ERR",%b,%b]' % (session_json, dumps(reason))
    return b'["NEG-ERR",%b,%b,%d]' % (session_json, dumps(reason), most)


def notice(text: str) -> bytes:
    """Something for people; used only where nothing else can answer."""
    return dumps(["NOTICE", text])
