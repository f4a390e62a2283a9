"""A client of a relay under test, with what it can say and what it hears."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.settings.tree import Settings
from tests.relay.fakes import (
    RelayUnderTest,
    accepted,
    auth_message,
    event_message,
    req_message,
)
from tests.storage.events import NOW


class Visitor:
    """
    One connection.

    Attributes:
        client: What the relay sends to.
        session: What takes its messages.
        challenge: The last one that it heard; empty before.
    """

    def __init__(self, under_test: RelayUnderTest) -> None:
        self._under_test = under_test
        self.client, self.session = under_test.connect()
        self.challenge = ""

    def heard(self) -> list[Any]:
        """What came since the last time; of challenges, note is taken."""
        messages = self.client.heard()
        for message in messages:
            if message[0] == "AUTH":
                self.challenge = message[1]
        return messages

    def say(self, message: bytes) -> list[Any]:
        """Send one message, and hear what comes of it."""
        self.session.message_received(message)
        self._under_test.turns.settle()
        return self.heard()

    def ask(self, *filters: object, id_: str = "s") -> list[Any]:
        """Send a REQ, and hear what comes of it."""
        return self.say(req_message(id_, *filters))

    def publish(self, event: Event) -> list[Any]:
        """Send an EVENT, and hear what comes of it."""
        return self.say(event_message(event))

    def authenticate(
        self, secret: int, *, url: str | None = None, created_at: int = NOW
    ) -> list[Any]:
        """Answer the challenge with the key ``secret``, and hear what comes of it."""
        if not self.challenge:
            self.heard()
        if url is None:
            return self.say(auth_message(self.challenge, secret, created_at=created_at))
        return self.say(
            auth_message(self.challenge, secret, created_at=created_at, url=url)
        )


class VisitorTestCase(SynchronousTestCase):
    """A relay and as many clients as a test needs."""

    settings = Settings()

    def setUp(self) -> None:
        """Start the relay, and connect one client that did not authenticate."""
        self.under_test = RelayUnderTest(self.settings)
        self.visitor = Visitor(self.under_test)

    def stranger(self) -> Visitor:
        """Another client, that did not authenticate."""
        return Visitor(self.under_test)

    def known(self, *secrets: int) -> Visitor:
        """Another client, that has authenticated with these keys."""
        visitor = self.stranger()
        visitor.ask({"kinds": [1059]}, id_="challenge, please")
        for secret in secrets:
            ((verb, _, is_accepted, reason),) = visitor.authenticate(secret)
            self.assertEqual((verb, is_accepted, reason), ("OK", True, ""))
        return visitor

    def assert_refused(self, answer: list[Any], event: Event, prefix: str) -> None:
        """Assert that the answer to an EVENT is a refusal with this prefix."""
        ((verb, id_, is_accepted, reason),) = answer
        self.assertEqual((verb, id_, is_accepted), ("OK", event.id.hex(), False))
        self.assertTrue(reason.startswith(f"{prefix}: "), reason)

    def assert_closed(self, answer: list[Any], prefix: str) -> None:
        """Assert that the answer to a REQ is a refusal with this prefix."""
        ((verb, _, reason),) = answer
        self.assertEqual(verb, "CLOSED")
        self.assertTrue(reason.startswith(f"{prefix}: "), reason)

    def assert_accepted(self, visitor: Visitor, *events: Event) -> None:
        """Assert that each event is new to the relay, and taken."""
        for event in events:
            self.assertEqual(visitor.publish(event), [accepted(event)])
