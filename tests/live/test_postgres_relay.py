"""Relays that share a store in PostgreSQL, as an operator starts them."""

from __future__ import annotations

from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import empty_database
from tests.live.reactor import reactor
from tests.live.relay_process import FREE_PORT, RelayProcess


class PostgresRelayTests(LiveTestCase):
    """Two relays over one store."""

    def setUp(self) -> None:
        """Make an empty store."""
        # Dropped when the relays have ended, which is the other way round.
        name = empty_database()
        self.addCleanup(shared_server().drop_database, name)
        self.url = shared_server().url(name)
        super().setUp()

    async def start(self, number: int) -> RelayProcess:
        """A relay over the store."""
        directory = self.directory / str(number)
        directory.mkdir()
        arguments = ["nostr-relay", "--listen", FREE_PORT, "--store", self.url]
        return self.ends(await RelayProcess.spawn(directory, arguments))

    async def client(self, relay: RelayProcess) -> LiveClient:
        """A client of a relay that may not have read yet whom it has banned."""
        while True:
            try:
                return await self.connect(relay)
            except ConnectionEnded:
                await deferLater(reactor, 0.05)

    async def test_shared(self) -> None:
        """What one relay accepted the other one answers, counts and deletes."""
        one, other = await self.start(1), await self.start(2)
        author = Author("shared")
        notes = [author.sign(f"note {number}") for number in range(300)]
        publisher, reader = await self.client(one), await self.client(other)
        answers = await publisher.publish(notes)
        self.assertEqual(set(answers.values()), {(True, "")})
        found = await reader.query({"authors": [author.pubkey], "limit": 500})
        self.assertEqual(len(found), 300)
        wish = author.sign("", kind=5, tags=[["e", notes[0]["id"]]])
        await reader.publish([wish])
        self.assertEqual(await publisher.query({"ids": [notes[0]["id"]]}), [])

    async def test_killed(self) -> None:
        """What a relay accepted before ``kill -9`` another one serves."""
        one, other = await self.start(1), await self.start(2)
        author = Author("killed")
        notes = [author.sign(f"note {number}") for number in range(100)]
        answers = await (await self.client(one)).publish(notes)
        await one.stop("KILL")
        accepted = {note["id"] for note in notes if answers[note["id"]][0]}
        served = await (await self.client(other)).by_id(list(accepted))
        self.assertEqual(set(served), accepted)
