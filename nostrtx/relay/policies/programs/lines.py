# -*- test-case-name: tests.relay.policies.programs.test_lines -*-
"""
What goes to a program and what comes back: lines of JSON, as strfry defines them.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, dumps, loads

#: Longest text of a program that a client is told, in characters.
MAX_MESSAGE: Final = 500

_PREFIXES: Final = {prefix.value: prefix for prefix in ReasonPrefix}

_SHADOW: Final = Taken()


class BadLine(ValueError):
    """A program wrote what is no answer; the text says why."""


class OtherSource(Source):
    """
    Where events come from that no client has sent.

    Attributes:
        kind: How that is: "Stored", "Import" or "Sync".
        info: What else is to be told, such as the URL of a relay.
    """

    __slots__ = ("info", "kind")

    def __init__(self, kind: str, info: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.info = info


class Answer(NamedTuple):
    """
    What a program says of an event.

    Attributes:
        id: Of the event.
        verdict: None to take it, a refusal, or :class:`Taken` for an event that
            seems to be taken, to its sender.
    """

    id: bytes
    verdict: Rejected | Taken | None


def request_line(event: Event, source: Source, now: float) -> bytes:
    """The line that asks about an event that came in at ``now``."""
    if isinstance(source, OtherSource):
        where = _where(source.kind, source.info)
    else:
        address = source.address
        where = _where("IP6" if ":" in address else "IP4", address)
    keys = source.pubkeys
    if keys:
        key = event.pubkey if event.pubkey in keys else min(keys)
        where += b',"authed":"%b"' % key.hex().encode()
    return b'{"type":"new","event":%b,"receivedAt":%d,%b}\n' % (event.raw, now, where)


@lru_cache(maxsize=10_000)
def _where(kind: str, info: str) -> bytes:
    """The members that say where an event comes from."""
    return b'"sourceType":%b,"sourceInfo":%b' % (dumps(kind), dumps(info))


def parse_answer(line: bytes) -> Answer:
    """
    What a line of a program says.

    Raises:
        BadLine: It is no answer.
    """
    try:
        answer = loads(line)
    except NotJSONError:
        raise BadLine("it is not JSON") from None
    if type(answer) is not dict:
        raise BadLine("it is not a JSON object")
    try:
        id_ = bytes.fromhex(answer["id"])
    except (KeyError, TypeError, ValueError):
        raise BadLine("it has no id of an event") from None
    action = answer.get("action")
    if action == "accept":
        return Answer(id_, None)
    if action == "shadowReject":
        return Answer(id_, _SHADOW)
    if action == "reject":
        return Answer(id_, refusal(answer.get("msg")))
    raise BadLine("its action is none of accept, reject and shadowReject")


def refusal(message: object) -> Rejected:
    """
    The refusal for the client, whose reason begins with a prefix (NIP-01).

    Args:
        message: What the program says; a prefix of its own stays.
    """
    if not isinstance(message, str) or not message.strip():
        return Rejected(ReasonPrefix.BLOCKED, "not accepted here")
    text = message.strip()[:MAX_MESSAGE].encode(errors="replace").decode()
    start, colon, rest = text.partition(":")
    prefix = _PREFIXES.get(start) if colon else None
    if prefix is None or not rest.strip():
        return Rejected(ReasonPrefix.BLOCKED, text)
    return Rejected(prefix, rest.strip())
