# -*- test-case-name: tests.sync.test_peer -*-
"""
What another relay says of itself (NIP-11), as far as it matters to a client.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from treq import collect
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikeRedirectAgent
from twisted.web.http_headers import Headers

from nostrtx.nostr.json import loads
from nostrtx.nostr.relay_url import RelayURL

#: How long the document may take, in seconds.
_SECONDS: Final = 10

#: What a relay surely takes that says nothing: strfry's default is twice that.
_MESSAGE_BYTES: Final = 65_536

#: The longest document that is read, in bytes.
_DOCUMENT_BYTES: Final = 256 * 1024

_LIMIT: Final = 500
_SUBSCRIPTIONS: Final = 4


@attrs.frozen
class Peer:
    """
    The limits of a relay.

    Attributes:
        max_message_bytes: Its longest message from a client.
        max_limit: Most stored events for one filter.
        max_subscriptions: Open subscriptions per connection.
    """

    max_message_bytes: int = _MESSAGE_BYTES
    max_limit: int = _LIMIT
    max_subscriptions: int = _SUBSCRIPTIONS

    @property
    def frame_bytes(self) -> int:
        """The longest Negentropy message that fits, before it is hexadecimal."""
        return max(4096, min(250_000, (self.max_message_bytes - 200) // 2))

    @property
    def ids_at_once(self) -> int:
        """How many events to ask for by id in one REQ."""
        by_length = (self.max_message_bytes - 200) // 67
        return max(1, min(500, self.max_limit, by_length))


def peer_of(document: object) -> Peer:
    """The limits that an information document states; careful ones for the rest."""
    limitation = document.get("limitation") if type(document) is dict else None
    if type(limitation) is not dict:
        return Peer()

    def stated(name: str, default: int) -> int:
        value = limitation.get(name)
        return value if type(value) is int and value > 0 else default

    return Peer(
        stated("max_message_length", _MESSAGE_BYTES),
        stated("max_limit", _LIMIT),
        stated("max_subscriptions", _SUBSCRIPTIONS),
    )


async def ask(url: RelayURL, reactor: Any) -> Peer:
    """What the relay at ``url`` states; careful limits if it states nothing."""
    scheme = "https" if url.secure else "http"
    address = scheme + str(url)[str(url).index(":") :]
    agent = BrowserLikeRedirectAgent(Agent(reactor, connectTimeout=_SECONDS))
    headers = Headers({"Accept": ["application/nostr+json"]})

    async def document() -> bytes:
        response = await agent.request(b"GET", address.encode(), headers)
        body = bytearray()

        def take(data: bytes) -> None:
            if len(body) + len(data) > _DOCUMENT_BYTES:
                raise ValueError("the document is too long")
            body.extend(data)

        await collect(response, take)
        return bytes(body)

    try:
        asking = _at_once(Deferred.fromCoroutine(document()))
        return peer_of(loads(await asking.addTimeout(_SECONDS, reactor)))
    except CancelledError:
        raise
    except Exception:
        # Many relays serve no document; the connection itself shows what is wrong.
        return Peer()


def _at_once(asking: Deferred[bytes]) -> Deferred[bytes]:
    """What comes of ``asking``; if it is cancelled, that and nothing else."""
    is_given_up = False

    def give_up(_: Deferred[bytes]) -> None:
        # An HTTP client makes an error of its own of it, for which it is too late.
        nonlocal is_given_up
        is_given_up = True
        asking.cancel()

    def pass_on(result: bytes | Failure) -> None:
        if not is_given_up:
            answer.callback(result)

    answer: Deferred[bytes] = Deferred(give_up)
    asking.addBoth(pass_on)  # type: ignore[unused-awaitable]
    return answer
