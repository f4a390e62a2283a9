"""Authors vanish from a relay for good (NIP-62)."""

from __future__ import annotations

from signal import SIGKILL
from typing import Any

from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase


class VanishTests(LiveTestCase):
    """What a request to vanish does outlives the process."""

    async def test_killed_after_ok(self) -> None:
        """After OK and ``kill -9``, what vanished is gone, and refused."""
        relay = await self.start_relay()
        client = await self.connect(relay)
        alice, bob = Author("alice"), Author("bob")
        old = [alice.sign(created_at=1_700_000_000 + n) for n in range(3000)]
        old.append(alice.sign(kind=0, created_at=1_700_000_000))
        kept = bob.sign(created_at=1_700_000_000, tags=[["p", alice.pubkey]])
        new = alice.sign(created_at=1_700_009_999)
        await self._publish(client, *old, kept, new)
        wish = alice.sign(
            kind=62, created_at=1_700_009_000, tags=[["relay", relay.url]]
        )
        await self._publish(client, wish)
        self.assertEqual(await relay.stop("KILL"), -SIGKILL)
        await client.leave()
        client = await self.connect(await self.start_relay())
        self.assertEqual(await client.query({"limit": 5000}), [new, wish, kept])
        answers = await client.publish([*old[::100], new])
        refusal = (False, "blocked: the author requested to vanish")
        self.assertEqual({answers[event["id"]] for event in old[::100]}, {refusal})
        self.assertTrue(answers[new["id"]][0])
        self.assertEqual(await client.query({"limit": 5000}), [new, wish, kept])

    async def test_another_relay(self) -> None:
        """A request for another relay has no effect here."""
        client = await self.connect(await self.start_relay())
        alice = Author("alice")
        note = alice.sign(created_at=1_700_000_000)
        wish = alice.sign(
            kind=62, created_at=1_700_000_001, tags=[["relay", "wss://other.example/"]]
        )
        await self._publish(client, note, wish)
        self.assertEqual(await client.query({}), [wish, note])

    async def _publish(self, client: LiveClient, *events: dict[str, Any]) -> None:
        answers = await client.publish(events)
        self.assertEqual({answer[0] for answer in answers.values()}, {True})
