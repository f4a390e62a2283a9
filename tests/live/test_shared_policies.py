"""Rules, lists, trust and rates of two nodes, with PostgreSQL and Redis between."""

from __future__ import annotations

import attrs
from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import Answer, Json, LiveClient
from tests.live.cluster_case import CONNECTED, ClusterTestCase
from tests.live.reactor import reactor
from tests.live.redis_server import REDIS_MISSING
from tests.live.relay_process import RelayProcess
from tests.live.test_rules import follow_list
from tests.live.traffic import until

_OWNER, _FRIEND, _THEIRS, _STRANGER = map(Author, ("owner", "friend", "theirs", "who"))

_ALICE = b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n"
_BOB = b"PROXY TCP4 203.0.113.8 203.0.113.1 40000 443\r\n"
_CAROL = b"PROXY TCP4 203.0.113.9 203.0.113.1 40000 443\r\n"

_TRUST = f"""
[trust]
roots = ["{_OWNER.pubkey}"]
refresh_seconds = 10

[[rules]]
trust = 2
verdict = "accept"

[[rules]]
reason = "not known"
"""

_LISTS = f"""
[lists.muted]
nostr = ["10000:{_OWNER.pubkey}"]

[[rules]]
authors = ["muted"]
reason = "muted"

[[rules]]
words = ["muted"]
reason = "muted word"
"""

_RATES = """
[rates]
exempt = []
address_events = "300/d"
pubkey_events = "200/d"
"""

#: How long it may take until something is known everywhere, in seconds.
_SOON = 60


@attrs.frozen
class _Proxied:
    """
    The port of a node to which only proxies connect.

    Attributes:
        address: Host and port.
    """

    address: tuple[str, int]

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.address
        return f"ws://{host}:{port}/"


class SharedPoliciesTests(ClusterTestCase):
    """What one node has learnt, the other one knows."""

    skip = REDIS_MISSING

    async def start_two(self, policies: str) -> list[RelayProcess]:
        """Two nodes with the same policies, that hear each other."""
        for name in ("a", "b"):
            await self.start_node(name, self.settings(name, policies))
        for node in self.nodes:
            await until(lambda n=node: CONNECTED in n.output, 20, node.output)  # type: ignore[misc]
        return self.nodes

    async def answer(self, client: LiveClient, event: Json) -> Answer:
        """What the OK for an event says."""
        return (await client.publish([event]))[event["id"]]

    async def at_last(self, client: LiveClient, author: Author, expected: str) -> None:
        """Publish notes until one is answered with a reason; empty if it is taken."""
        for number in range(10 * _SOON):
            note = author.sign(f"{expected} {number} {id(client)}")
            _, reason = await self.answer(client, note)
            if reason == expected:
                return
            await deferLater(reactor, 0.1)
        self.fail(f"the last answer was {reason!r}")

    async def test_trust(self) -> None:
        """
        Whom somebody follows at one node is trusted at the other, until no more.

        A node that starts later knows it from the first event on.
        """
        one, other = [await self.connect(n) for n in await self.start_two(_TRUST)]
        for client in (one, other):
            self.assertEqual(
                await self.answer(client, _FRIEND.sign(f"{id(client)}")),
                (False, "blocked: not known"),
            )
        await self.answer(one, follow_list(_OWNER, _FRIEND, at=1))
        await self.at_last(other, _FRIEND, "")
        await self.answer(other, follow_list(_FRIEND, _THEIRS, at=1))
        await self.at_last(one, _THEIRS, "")
        await until(lambda: "3 keys are trusted" in self.output(), _SOON, "not kept")
        late = await self.start_node("c", self.settings("c", _TRUST))
        third = await self.connect(late)
        self.assertEqual(await self.answer(third, _THEIRS.sign("hello")), (True, ""))
        nobody = follow_list(_OWNER, at=2)
        self.assertEqual(await self.answer(one, nobody), (True, ""))
        for client in (one, other, third):
            await self.at_last(client, _THEIRS, "blocked: not known")
            self.assertEqual(
                await self.answer(client, _OWNER.sign(f"still here {id(client)}")),
                (True, ""),
            )

    def output(self) -> str:
        """What all nodes have written."""
        return "\n".join([node.output for node in self.nodes])

    async def test_lists(self) -> None:
        """A list that is published, replaced or deleted at one node is so at both."""
        one, other = [await self.connect(n) for n in await self.start_two(_LISTS)]
        muted = _OWNER.sign(
            kind=10000,
            tags=[["p", _STRANGER.pubkey], ["word", "casino"]],
            created_at=1_700_000_000,
        )
        await self.answer(one, muted)
        for client in (one, other):
            await self.at_last(client, _STRANGER, "blocked: muted")
            self.assertEqual(
                await self.answer(client, _FRIEND.sign(f"Casino! {id(client)}")),
                (False, "blocked: muted word"),
            )
        gone = _OWNER.sign(kind=5, tags=[["a", f"10000:{_OWNER.pubkey}:"]])
        self.assertEqual(await self.answer(other, gone), (True, ""))
        for client in (one, other):
            await self.at_last(client, _STRANGER, "")

    async def test_rates(self) -> None:
        """What an address or author has spent at one node is missing at the other."""
        ports = [_Proxied(n.addresses[1]) for n in await self.start_two(_RATES)]
        alice = [await self.connect(port, before=_ALICE) for port in ports]
        # A day's worth flows back so slowly that hardly any does in this test.
        many = [Author(f"author {number}") for number in range(30)]
        await self.assert_shared(alice, many, "300 events per day from one address")
        bob = await self.connect(ports[0], before=_BOB)
        carol = await self.connect(ports[1], before=_CAROL)
        await self.assert_shared(
            [bob, carol], [_STRANGER], "200 events per day by one author"
        )
        self.assertEqual(await self.answer(bob, _FRIEND.sign("calm")), (True, ""))

    async def assert_shared(
        self, clients: list[LiveClient], authors: list[Author], rate: str
    ) -> None:
        """
        Publish at each node in turn until neither takes any more.

        A node tells each second what was spent, so they take more than one alone
        would, but far less than both.
        """
        most = int(rate.split()[0])
        taken = 0
        for number in range(10 * _SOON):
            before = taken
            for client in clients:
                notes = [
                    author.sign(f"{number} {some} {id(client)}")
                    for some in range(30 // len(authors))
                    for author in authors
                ]
                answers = await client.publish(notes)
                taken += sum(accepted for accepted, _ in answers.values())
            if taken == before:
                break
            await deferLater(reactor, 0.8)
        self.assertEqual({rate in reason for _, reason in answers.values()}, {True})
        self.assertTrue(most <= taken < 1.7 * most, taken)
