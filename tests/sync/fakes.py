"""Two stores and what stands between them: a conversation with a real session."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nostrtx.cli.intake import Intake
from nostrtx.nostr.event import Event
from nostrtx.nostr.event_signing import SecretKey, sign_event
from nostrtx.nostr.json import dumps, loads
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.sync.conversation import Conversation, Members
from nostrtx.sync.peer import Peer
from nostrtx.sync.synchronization import Direction, Synchronization
from nostrtx.turns import ScheduledTurns
from tests.relay.fakes import RelayUnderTest, relay_urls
from tests.storage.events import NOW, signed_event

_T = TypeVar("_T")


@cache
def note(number: int, seconds: int = 7) -> Event:
    """A signed note; some share their second."""
    return signed_event(created_at=NOW - number % seconds, content=f"{number}")


def members(event: Event) -> Members:
    """What the JSON of ``event`` decodes to."""
    decoded = loads(event.raw)
    assert isinstance(decoded, dict)
    return decoded


class Neighbours:
    """
    A relay, a store of our own, and a conversation between them.

    Messages travel when :meth:`run` is called, and only then.

    Args:
        settings: Of the relay.
        secret: The key to authenticate with, if there is one.
        peer: What the relay says of its limits.

    Attributes:
        relay: The relay and its store.
        store: Ours.
        job: Stores what comes.
        conversation: With the relay.
        said: All that was said to the relay, decoded.
        deaf: Whether the relay hears nothing.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        secret: SecretKey | None = None,
        peer: Peer | None = None,
    ) -> None:
        self.relay = RelayUnderTest(settings)
        self.clock = self.relay.clock
        self.store = MemoryEventStore(lambda _: False)
        self.job = Intake(
            self.store, ScheduledTurns(self.clock), self.clock, Settings(), True
        )
        self.said: list[Any] = []
        self.deaf = False
        self._peer = peer or Peer()
        self._waiting: list[bytes] = []
        self._client, self._session = self.relay.connect()
        self.conversation = Conversation(
            self._waiting.append,
            self.clock,
            None if secret is None else lambda challenge: _proof(secret, challenge),
        )

    def synchronization(
        self,
        direction: Direction,
        may_send: Callable[[Event], bool] = lambda event: True,
    ) -> Synchronization:
        """What brings both stores to hold the same."""
        return Synchronization(
            self.conversation,
            self._peer,
            self.store,
            self.job,
            self.clock,
            direction,
            may_send,
        )

    def relay_says(self, *message: object) -> None:
        """Have the relay say something of its own accord."""
        self.conversation.message_received(dumps(list(message)))

    def run(self, task: Coroutine[Deferred[Any], Any, _T]) -> _T:
        """
        What comes of ``task``, while messages travel and time passes as needed.

        Raises:
            Exception: What the task raises.
        """
        results: list[_T | Failure] = []
        _ = Deferred.fromCoroutine(task).addBoth(results.append)
        for _ in range(100_000):
            if results:
                [result] = results
                if isinstance(result, Failure):
                    result.raiseException()
                return result
            if not self._pass_on():
                self.clock.advance(1)
        raise AssertionError("it never ends")

    def _pass_on(self) -> bool:
        waiting, self._waiting[:] = self._waiting[:], []
        for message in waiting:
            self.said.append(loads(message))
            if not self.deaf:
                self._session.message_received(message)
        self.relay.turns.settle()
        self.clock.advance(0)
        answers, self._client.messages = self._client.messages, []
        for answer in answers:
            self.conversation.message_received(answer)
        return bool(waiting or answers)


def _proof(secret: SecretKey, challenge: str) -> Members:
    [url, *_] = relay_urls()
    return members(
        sign_event(
            secret,
            kind=22242,
            created_at=NOW,
            tags=[["relay", url], ["challenge", challenge]],
        )
    )
