# -*- test-case-name: tests.nostr.test_client_messages -*-
"""
What a client may say: EVENT, REQ, CLOSE (NIP-01), AUTH (42), COUNT (45), NEG-… (77).

:func:`parse` finds out which message it is and whom to answer. The event or the
filters inside are still plain JSON values: whoever takes them up parses them, and
so can answer their faults with the OK or CLOSED that belongs to them.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.json import NotJSONError, loads

#: Longest subscription id, in characters (NIP-01); longer ones are refused.
MAX_SUBSCRIPTION_ID: Final = 64

#: Longest id, of an event or a subscription, worth echoing in a refusal, in characters.
_MAX_ECHO: Final = 256


@attrs.define(slots=True)
class EventMessage:
    """``["EVENT", {…}]``: a client publishes an event.

    Attributes:
        members: The object, not yet checked.
    """

    members: dict[str, object]

    @property
    def id(self) -> str | None:
        """The id to answer with; None where the object has none fit to echo."""
        return _echoed_id(self.members)


@attrs.define(slots=True)
class ReqMessage:
    """``["REQ", id, filter, …]``: a client subscribes.

    Attributes:
        subscription_id: As the client wrote it. It may be empty, or longer than
            :data:`MAX_SUBSCRIPTION_ID`: both are refused with a CLOSED.
        filters: The filters, not yet checked.
    """

    subscription_id: str
    filters: list[object]


@attrs.define(slots=True)
class CloseMessage:
    """``["CLOSE", id]``: a client ends a subscription.

    Attributes:
        subscription_id: As the client wrote it.
    """

    subscription_id: str


@attrs.define(slots=True)
class AuthMessage:
    """``["AUTH", {…}]``: a client proves who it is (NIP-42).

    Attributes:
        members: The authentication event, not yet checked.
    """

    members: dict[str, object]

    @property
    def id(self) -> str | None:
        """The id to answer with; None where the object has none fit to echo."""
        return _echoed_id(self.members)


@attrs.define(slots=True)
class CountMessage:
    """``["COUNT", id, filter, …]``: a client wants a number (NIP-45).

    Attributes:
        query_id: As the client wrote it; may be empty or too long, as of a REQ.
        filters: The filters, not yet checked.
    """

    query_id: str
    filters: list[object]


@attrs.define(slots=True)
class NegOpenMessage:
    """``["NEG-OPEN", id, filter, message]``: a client reconciles (NIP-77).

    Attributes:
        session_id: As the client wrote it; may be empty or too long, as of a REQ.
        filter_members: The filter, not yet checked; None if there is none.
        message: The Negentropy message in hexadecimal, not yet checked.
    """

    session_id: str
    filter_members: object
    message: object


@attrs.define(slots=True)
class NegMsgMessage:
    """``["NEG-MSG", id, message]``: the next step of a reconciliation (NIP-77).

    Attributes:
        session_id: As the client wrote it.
        message: The Negentropy message in hexadecimal, not yet checked.
    """

    session_id: str
    message: object


@attrs.define(slots=True)
class NegCloseMessage:
    """``["NEG-CLOSE", id]``: a client ends a reconciliation (NIP-77).

    Attributes:
        session_id: As the client wrote it.
    """

    session_id: str


ClientMessage: TypeAlias = (
    EventMessage
    | ReqMessage
    | CloseMessage
    | AuthMessage
    | CountMessage
    | NegOpenMessage
    | NegMsgMessage
    | NegCloseMessage
)


def parse(text: bytes) -> ClientMessage:
    """
    The message that the UTF-8 ``text`` of one WebSocket frame holds.

    Raises:
        Rejected: ``invalid:``; there is nothing to answer but with a NOTICE.
    """
    try:
        message = loads(text)
    except NotJSONError:
        raise invalid("not JSON") from None
    if type(message) is not list or not message:
        raise invalid("a message is a JSON array that is not empty")
    verb = message[0]
    if verb == "EVENT":
        if len(message) < 2 or type(message[1]) is not dict:
            raise invalid("EVENT takes an event")
        return EventMessage(message[1])
    if verb == "REQ":
        return ReqMessage(_subscription_id(message), message[2:])
    if verb == "CLOSE":
        return CloseMessage(_subscription_id(message))
    if verb == "COUNT":
        return CountMessage(_subscription_id(message), message[2:])
    if verb == "AUTH":
        if len(message) < 2 or type(message[1]) is not dict:
            raise invalid("AUTH takes an event")
        return AuthMessage(message[1])
    if verb == "NEG-OPEN":
        return NegOpenMessage(
            _subscription_id(message), _argument(message, 2), _argument(message, 3)
        )
    if verb == "NEG-MSG":
        return NegMsgMessage(_subscription_id(message), _argument(message, 2))
    if verb == "NEG-CLOSE":
        return NegCloseMessage(_subscription_id(message))
    raise invalid("unknown message type")


def _argument(message: list[object], place: int) -> object:
    return message[place] if len(message) > place else None


def _echoed_id(members: dict[str, object]) -> str | None:
    id_ = members.get("id")
    if type(id_) is not str or len(id_) > _MAX_ECHO:
        return None
    return id_ if _is_text(id_) else None


def _subscription_id(message: list[object]) -> str:
    id_ = message[1] if len(message) > 1 else None
    if type(id_) is not str:
        raise invalid(f"{message[0]} takes a subscription id, a string")
    if len(id_) > _MAX_ECHO:
        raise invalid(f"a subscription id has at most {MAX_SUBSCRIPTION_ID} characters")
    if not _is_text(id_):
        raise invalid("the subscription id holds half a surrogate pair")
    return id_


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
