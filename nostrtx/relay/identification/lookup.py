# -*- test-case-name: tests.relay.identification.test_lookup -*-
"""
Asking a domain for the keys of its names over HTTPS (NIP-05).

The domain is a stranger's: it gets little time, may say little, and leads nowhere
else.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from treq.content import collect
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from nostrtx import __version__
from nostrtx.nostr.identifiers import Identifier
from nostrtx.relay.identification.public_addresses import PublicEndpoints
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


class LookupFailed(Exception):
    """A domain did not say anything that can be used."""


class _HangUp(Protocol):
    """Takes no body, and ends the connection."""

    def connectionMade(self) -> None:
        """There would be something to read."""
        if self.transport is not None:
            self.transport.loseConnection()


class _TooLong(Exception):
    """The answer is longer than allowed."""


class DomainLookup:
    """
    Asks domains; so many at a time.

    Args:
        agent: Makes requests.
        clock: Counts the time.
        settings: What a domain may take.
    """

    def __init__(self, agent: IAgent, clock: Any, settings: LiveSettings) -> None:
        self._client = HTTPClient(agent)
        self._clock = clock
        self._settings = settings
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        # Those who ask at this moment give their turns back to the former ones.
        self._turns = DeferredSemaphore(settings.nip05.max_lookups)

    async def document(self, identifier: Identifier) -> bytes:
        """
        What the domain of ``identifier`` answers for its name.

        Raises:
            LookupFailed: There is no usable answer.
        """
        if identifier.port is not None and not self._settings.now.nip05.local_addresses:
            raise LookupFailed("a domain is asked at the usual port only")
        turns = self._turns
        await turns.acquire()
        try:
            return await self._ask(identifier)
        except CancelledError:
            raise
        except Exception as error:
            raise LookupFailed(type(error).__name__) from error
        finally:
            turns.release()

    async def _ask(self, identifier: Identifier) -> bytes:
        seconds = self._settings.now.nip05.timeout_seconds
        ends = self._clock.seconds() + seconds
        asking = self._client.get(
            identifier.url,
            headers=Headers(
                {
                    "Accept": ["application/json"],
                    "User-Agent": [f"nostrtx/{__version__}"],
                }
            ),
            allow_redirects=False,
            unbuffered=True,
        )
        response = await asking.addTimeout(seconds, self._clock)
        body = bytearray()

        def take(data: bytes) -> None:
            if len(body) + len(data) > self._settings.now.nip05.max_document_bytes:
                raise _TooLong
            body.extend(data)

        if response.code != 200:
            response.deliverBody(_HangUp())
            raise LookupFailed(f"status {response.code}")
        left = max(0.001, ends - self._clock.seconds())
        await collect(response, take).addTimeout(left, self._clock)
        return bytes(body)


def domain_lookup(reactor: Any, settings: LiveSettings) -> DomainLookup:
    """What asks domains over the network."""
    endpoints = PublicEndpoints(
        reactor,
        settings.now.nip05.local_addresses,
        lambda: settings.now.nip05.timeout_seconds,
    )
    agent = Agent.usingEndpointFactory(reactor, endpoints)
    return DomainLookup(agent, reactor, settings)
