"""A relay with members, and people who come to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.edge import IClientSession
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.relay.membership.members import WATCH_SECONDS
from nostrtx.relay.membership.register import Register
from nostrtx.settings.access import MembershipSettings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.register_file import RegisterFile
from tests.relay.fakes import RELAY_URL, FakeClient, RelayUnderTest, event_message
from tests.storage.events import NOW, signed_event


class _Pool:
    """A thread pool whose calls are over at once."""

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], call: Callable[[], Any]
    ) -> None:
        """Call, and tell the result."""
        try:
            result = call()
        except Exception:
            on_result(False, Failure())
        else:
            on_result(True, result)


class PoolReactor(MemoryReactorClock):
    """A reactor with such a pool."""

    def getThreadPool(self) -> Any:
        """The pool."""
        return _Pool()

    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        """Call."""
        call(*args, **kwargs)


class Person:
    """
    Somebody with a key and a connection.

    Args:
        under_test: The relay.
        secret: The key.
    """

    def __init__(self, under_test: RelayUnderTest, secret: int) -> None:
        self._under_test = under_test
        self.secret = secret
        self.client, self.session = self._connected()
        self._challenge = ""

    def _connected(self) -> tuple[FakeClient, IClientSession]:
        return self._under_test.connect()

    def say(self, message: bytes) -> list[Any]:
        """What the relay answers, but for challenges."""
        self.session.message_received(message)
        self._under_test.turns.settle()
        answers = self.client.heard()
        for answer in answers:
            if answer[0] == "AUTH":
                self._challenge = answer[1]
        return [answer for answer in answers if answer[0] != "AUTH"]

    def send(self, event: Event) -> tuple[bool, str]:
        """The OK for an event."""
        ((verb, id_, is_accepted, reason),) = self.say(event_message(event))
        assert (verb, id_) == ("OK", event.id.hex())
        return is_accepted, reason

    def event(
        self,
        kind: int,
        tags: Sequence[Sequence[str]] = (),
        content: str = "",
    ) -> Event:
        """An event of this person, made now."""
        now = int(self._under_test.clock.seconds())
        return signed_event(
            self.secret, kind=kind, tags=tags, content=content, created_at=now
        )

    def authenticate(self) -> None:
        """Prove who this is; the relay must have asked."""
        if not self._challenge:
            self.send(self.event(1, [["-"]], "provoke a challenge"))
        tags = [["relay", RELAY_URL], ["challenge", self._challenge]]
        event = self.event(22242, tags)
        answers = self.say(b'["AUTH",%b]' % event.raw)
        assert answers == [["OK", event.id.hex(), True, ""]], answers

    def ask(self, *filters: Any) -> list[Any]:
        """What comes upon a REQ."""
        return self.say(dumps(["REQ", "s", *filters]))

    def join(self, code: str) -> tuple[bool, str]:
        """Ask to join."""
        return self.send(self.event(28934, [["claim", code]]))


class MembershipTestCase(SynchronousTestCase):
    """A relay with members, whose register another process has open, too."""

    settings = MembershipSettings(enabled=True)

    def setUp(self) -> None:
        """Start the relay."""
        self.key_file = self.mktemp()
        Path(self.key_file).write_text("77" * 32)
        self.under_test = self.start()
        self.clock = self.under_test.clock

    def start(self, *stored: Event) -> RelayUnderTest:
        """Start a relay with a new register, whose store holds some events."""
        path = self.mktemp()
        under_test = RelayUnderTest(
            Settings(
                relay=RelaySettings(key_file=self.key_file),
                store=StoreSettings(url="memory:"),
                membership=attrs.evolve(self.settings, file=path),
            )
        )
        under_test.stored(*stored)
        relay = under_test.relay
        relay.start(PoolReactor(), 0)
        self.addCleanup(relay.stop)
        self.addCleanup(relay.drain)
        self.register = Register(RegisterFile(path))
        self.addCleanup(self.register.close)
        return under_test

    def person(self, secret: int) -> Person:
        """Somebody with a connection of their own."""
        return Person(self.under_test, secret)

    def notice(self) -> None:
        """Let the relay look at the register."""
        self.clock.advance(WATCH_SECONDS)

    def published(self, kind: int) -> list[Any]:
        """The tags of what the relay has published of a kind, newest first."""
        answers = self.person(99).ask({"kinds": [kind]})
        return [answer[2]["tags"] for answer in answers if answer[0] == "EVENT"]


__all__ = ["NOW", "MembershipTestCase", "Person", "PoolReactor"]
