"""Rates: what clients hear that come too fast, from one process and from several."""

from __future__ import annotations

from http.client import HTTPConnection

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import PROXIED

_ALICE = b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n"
_BOB = b"PROXY TCP4 203.0.113.8 203.0.113.1 40000 443\r\n"

#: Nobody is exempt, not even who is on the same machine.
_RATES = "[rates]\nexempt = []\n"

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class RatesTests(LiveTestCase):
    """A relay with rates, and clients over real sockets."""

    async def test_served_later(self) -> None:
        """Too many events are refused; after the time that is told, more are taken."""
        relay = await self.start_relay(f"{_RATES}address_events = '20/min'\n")
        author = Author("in a hurry")
        client = await self.connect(relay)
        notes = [author.sign(f"note {number}") for number in range(30)]
        answers = await client.publish(notes)
        taken = [id_ for id_, (accepted, _) in answers.items() if accepted]
        refused = {reason for accepted, reason in answers.values() if not accepted}
        self.assertEqual(taken, [note["id"] for note in notes[:20]])
        self.assertEqual(len(refused), 1, refused)
        told = refused.pop()
        self.assertRegex(
            told,
            r"\Arate-limited: at most 20 events per minute from one address,"
            r" try again in [123] s\Z",
        )
        await deferLater(reactor, int(told.split()[-2]))
        [(accepted, reason)] = (await client.publish([notes[-1]])).values()
        self.assertTrue(accepted, reason)
        found = await client.by_id([note["id"] for note in notes])
        self.assertEqual(set(found), {*taken, notes[-1]["id"]})

    async def test_requests(self) -> None:
        """Too many requests are answered with CLOSED, and live events still come."""
        relay = await self.start_relay(f"{_RATES}connection_requests = '2/d'\n")
        client = await self.connect(relay)
        for id_ in "abc":
            client.send("REQ", id_, {"limit": 0})
        answers = [await client.receive() for _ in "abc"]
        self.assertEqual(
            [answer[:2] for answer in answers[:2]], [["EOSE", "a"], ["EOSE", "b"]]
        )
        self.assertEqual(answers[2][:2], ["CLOSED", "c"])
        self.assertIn("at most 2 requests per day over one connection", answers[2][2])
        other = await self.connect(relay)
        await other.publish([Author("calm").sign("hello")])
        heard = [await client.receive() for _ in "ab"]
        self.assertEqual({message[1] for message in heard}, {"a", "b"})

    async def test_connections(self) -> None:
        """Who connects too often gets HTTP 429, and is told when to come back."""
        relay = await self.start_relay(f"{_RATES}address_connections = '2/h'\n")
        for _ in range(2):
            await self.connect(relay)
        with self.assertRaises(ConnectionEnded):
            await self.connect(relay)
        host, port = relay.address

        def ask() -> tuple[int, str | None, bytes]:
            connection = HTTPConnection(host, port, timeout=20)
            try:
                connection.request("GET", "/", headers=_UPGRADE)
                answer = connection.getresponse()
                return answer.status, answer.headers["Retry-After"], answer.read()
            finally:
                connection.close()

        status, seconds, body = await deferToThread(ask)
        self.assertEqual(status, 429)
        self.assertIn("at most 2 connections per hour from one address", body.decode())
        assert seconds is not None
        self.assertTrue(1700 < int(seconds) <= 1800, seconds)

    async def test_shadow(self) -> None:
        """On trial nothing is refused, and the log says what would be."""
        settings = f"{_RATES}connection_events = '5/d'\nshadow = true\n"
        relay = await self.start_relay(settings)
        client = await self.connect(relay)
        author = Author("on trial")
        answers = await client.publish(author.sign(f"{n}") for n in range(20))
        self.assertEqual({accepted for accepted, _ in answers.values()}, {True})
        self.assertIn("The rate connection_events is reached", relay.output)
        self.assertIn("It would have refused", relay.output)


class WorkersTests(LiveTestCase):
    """Processes that are one relay."""

    async def test_shared(self) -> None:
        """What an address spends at one worker is missing at the other one."""
        relay = await self.start_relay(
            f"{_RATES}address_events = '1000/d'\n[cluster]\nworkers = 2\n", PROXIED
        )
        # Which worker a client gets is up to the kernel: some get this one, some that.
        clients = [await self.connect(relay, before=_ALICE) for _ in range(12)]
        # By now each worker has heard of the other one, and goes on to tell.
        await deferLater(reactor, 2.5)
        author = Author("everywhere")
        notes = [author.sign(f"note {number}") for number in range(1000)]
        answers = await clients[0].publish(notes)
        self.assertEqual({accepted for accepted, _ in answers.values()}, {True})
        await self._until_all_refused(clients)
        other = await self.connect(relay, before=_BOB)
        [(accepted, reason)] = (await other.publish([author.sign("bob")])).values()
        self.assertTrue(accepted, reason)

    async def _until_all_refused(self, clients: list[LiveClient]) -> None:
        """Publish from each, until no event is taken; fail if that takes long."""
        author = Author("everywhere too")
        for attempt in range(20):
            taken = 0
            for number, client in enumerate(clients):
                note = author.sign(f"{attempt} {number}")
                [(accepted, reason)] = (await client.publish([note])).values()
                self.assertTrue(accepted or reason.startswith("rate-limited: "))
                taken += accepted
            if not taken:
                return
            await deferLater(reactor, 0.25)
        self.fail("the workers do not share what is left")
