# -*- test-case-name: tests.test_interfaces -*-
"""
What policies promise: the rules beyond the protocol.

A policy provides one or several of these. All are asked in the reactor's thread, and
the first that refuses decides. One that raises anything but ``Rejected`` refuses with
``error: internal error``, and the log has the traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs
from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter

_NOBODY: Final[frozenset[bytes]] = frozenset()

#: What asks for stored events.
Verb = Literal["REQ", "COUNT", "NEG-OPEN"]


class Source:
    """
    One client, as policies see it, for as long as it is connected.

    Attributes:
        address: Its IP address; empty if it has none.
        pubkeys: The keys that it has proved to own (NIP-42); may grow.
        meter: What the rates of the relay know of it; nobody else's business.
    """

    __slots__ = ("__weakref__", "address", "meter", "pubkeys")

    def __init__(self, address: str = "", pubkeys: frozenset[bytes] = _NOBODY) -> None:
        self.address = address
        self.pubkeys = pubkeys
        self.meter: Any = None


@attrs.frozen(slots=True)
class Taken:
    """
    An event was acted upon and goes no further: neither stored nor delivered.

    Attributes:
        reason: What OK true says, beginning with a prefix; may be empty.
    """

    reason: str = ""


class IEventCheck(Interface):
    """
    Quick checks of events that need not be known to be genuine.

    So they cost no more than they must, but whoever signs with a wrong key must not
    be able to change anything by them for others.
    """

    def check_event(event: Event, source: Source) -> None:
        """
        Refuse an event, whose signature is checked only afterwards.

        Raises:
            Rejected: It is refused.
        """


class IEventPolicy(Interface):
    """Says which events the relay takes."""

    def admit(event: Event, source: Source) -> Deferred[Taken | None] | Taken | None:
        """
        Decide about an event of good shape and signature, before it is stored.

        Returns:
            None if the event may go on, :class:`Taken` if that was all; or a
            Deferred of either, while which other events go on. It may be cancelled.

        Raises:
            Rejected: The event is refused; the Deferred may fail with it, too.
        """


class IRequestPolicy(Interface):
    """Says what clients may ask for."""

    def check_request(verb: Verb, filters: Sequence[Filter], source: Source) -> None:
        """
        Refuse a request of good shape.

        Args:
            verb: What begins its message.
            filters: What is asked for; limits may still be larger than they will be.
            source: Who asks.

        Raises:
            Rejected: It is refused: with CLOSED, or NEG-ERR.
        """


class IConnectionPolicy(Interface):
    """Says who may connect."""

    def check_connection(address: str) -> None:
        """
        Refuse a connection, once, before the WebSocket is opened.

        Args:
            address: The client's IP address; empty if it has none.

        Raises:
            Rejected: It is refused: with HTTP 429 if ``rate-limited:``, else 403.
        """


@attrs.frozen
class PolicyContext:
    """
    What a plugin may use of the relay.

    Attributes:
        clock: Wall-clock time, and calls later; as a rule the reactor.
        store: The events; not open yet when the policy is made.
    """

    clock: interfaces.IReactorTime
    store: IEventStore


class IPolicyPlugin(Interface):
    """
    Makes a policy; found by ``twisted.plugin.getPlugins``.

    An object that provides this stands in a module of ``twisted/plugins``.
    """

    name: str = Attribute("What the settings call it: up to 64 of a-z A-Z 0-9 _ . -")

    description: str = Attribute("What it does, in one line.")

    def make(options: Mapping[str, Any], context: PolicyContext) -> object:
        """
        The policy, for one process of the relay.

        It provides one or several of :class:`IEventCheck`, :class:`IEventPolicy`,
        :class:`IRequestPolicy` and :class:`IConnectionPolicy`. If it provides
        ``twisted.application.service.IService``, it is started and stopped
        together with the relay.

        Args:
            options: What the operator has set; not checked by anybody else.
            context: The relay.

        Raises:
            ValueError: The options are not usable; the text says why, in one line.
        """
