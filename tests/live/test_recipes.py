"""The recipes of docs/policies.md, each in a relay that runs: they do what they say."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.deployment import ROOT
from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.relay_process import RelayProcess
from tests.live.test_rules import mined

_OPERATOR, _FRIEND, _STRANGER = map(Author, ("operator", "friend", "stranger"))

#: The key that the guide shows in place of the operator's own.
_SHOWN: Final = re.compile(r"npub1[a-z0-9]{58}")


def recipe(title: str) -> str:
    """The settings of a recipe, with our operator's key in it."""
    text = (ROOT / "docs" / "policies.md").read_text()
    _, _, recipes = text.partition("\n## Recipes\n")
    _, _, after = recipes.partition(f"**{title}")
    found = re.search(r"(?s)```toml\n(.*?)```", after)
    assert found is not None, title
    return _SHOWN.sub(_OPERATOR.pubkey, found[1])


def people(author: Author, kind: int, *tags: list[str]) -> dict[str, Any]:
    """A list that an author keeps."""
    return author.sign(kind=kind, tags=list(tags))


class RecipesTests(LiveTestCase):
    """What an operator copies from the guide."""

    async def start(self, title: str) -> RelayProcess:
        """A relay with the settings of a recipe."""
        return await self.start_relay(recipe(title))

    async def answer(self, client: LiveClient, event: dict[str, Any]) -> str:
        """The prefix with which an event is refused; empty if it is taken."""
        [(is_accepted, reason)] = (await client.publish([event])).values()
        self.assertEqual(is_accepted, not reason, reason)
        prefix: str = reason.partition(":")[0]
        return prefix

    async def asked(self, client: LiveClient) -> str:
        """The prefix with which a request is refused; empty if it is answered."""
        client.send("REQ", "ask", {"kinds": [1], "limit": 1})
        while True:
            verb, *rest = await client.receive()
            if verb == "CLOSED":
                return str(rest[1]).partition(":")[0]
            if verb == "EOSE":
                client.send("CLOSE", "ask")
                return ""

    async def authenticated(self, relay: RelayProcess, author: Author) -> LiveClient:
        """A new client that has proved who it is when the relay asked for it."""
        client = await self.connect(relay)
        client.send("REQ", "ask", {"kinds": [1059], "limit": 1})
        verb, challenge = await client.receive()
        self.assertEqual(verb, "AUTH")
        tags = [["relay", relay.url], ["challenge", challenge]]
        proof = author.sign(kind=22242, tags=tags)
        client.send("AUTH", proof)
        while verb != "OK":
            verb, *rest = await client.receive()
        self.assertEqual(rest[:2], [proof["id"], True])
        return client

    async def test_work(self) -> None:
        """Friends are free, strangers work for each event."""
        client = await self.connect(await self.start("Work instead of a fee."))
        follows = people(_OPERATOR, 3, ["p", _FRIEND.pubkey])
        self.assertEqual(await self.answer(client, follows), "")
        self.assertEqual(await self.answer(client, _FRIEND.sign("free")), "")
        self.assertEqual(await self.answer(client, _STRANGER.sign("mine")), "pow")
        self.assertEqual(await self.answer(client, _STRANGER.sign("+", kind=7)), "pow")
        self.assertEqual(await self.answer(client, mined(_STRANGER, 12, kind=7)), "")

    async def test_team(self) -> None:
        """The members are a set of the operator's; others read."""
        title = "A private relay whose members are a set in your client."
        client = await self.connect(await self.start(title))
        self.assertEqual(
            await self.answer(client, _FRIEND.sign("too early")), "restricted"
        )
        team = people(_OPERATOR, 30000, ["d", "team"], ["p", _FRIEND.pubkey])
        self.assertEqual(await self.answer(client, team), "")
        self.assertEqual(await self.answer(client, _FRIEND.sign("hello")), "")
        self.assertEqual(await self.answer(client, _STRANGER.sign("x")), "restricted")
        self.assertEqual(await self.asked(client), "")

    async def test_inbox(self) -> None:
        """Who has authenticated leaves messages; the owner alone writes and reads."""
        relay = await self.start("An inbox.")
        client = await self.connect(relay)
        wrap = _STRANGER.sign("wrap", kind=1059, tags=[["p", _OPERATOR.pubkey]])
        self.assertEqual(await self.answer(client, _OPERATOR.sign("mine")), "")
        self.assertEqual(await self.answer(client, wrap), "auth-required")
        self.assertEqual(await self.asked(client), "auth-required")
        client = await self.authenticated(relay, _FRIEND)
        self.assertEqual(await self.answer(client, wrap), "")
        self.assertEqual(await self.answer(client, _FRIEND.sign("x")), "restricted")
        self.assertEqual(await self.asked(client), "restricted")
        owner = await self.authenticated(relay, _OPERATOR)
        self.assertEqual(await self.asked(owner), "")
        self.assertEqual(await owner.query({"kinds": [1059]}), [wrap])

    async def test_muted(self) -> None:
        """Who and what the operator mutes is not stored."""
        client = await self.connect(await self.start("What you mute is not stored"))
        self.assertEqual(await self.answer(client, _FRIEND.sign("casino one")), "")
        mutes = people(_OPERATOR, 10000, ["p", _STRANGER.pubkey], ["word", "casino"])
        self.assertEqual(await self.answer(client, mutes), "")
        self.assertEqual(await self.answer(client, _STRANGER.sign("x")), "blocked")
        self.assertEqual(await self.answer(client, _FRIEND.sign("casino")), "blocked")
        self.assertEqual(await self.answer(client, _FRIEND.sign("hello")), "")

    async def test_links_on_trial(self) -> None:
        """As long as the rule is in shadow, links are taken."""
        title = "Links from strangers, on trial first:"
        settings = recipe(title)
        client = await self.connect(await self.start_relay(settings))
        link = _STRANGER.sign("see https://example.com")
        self.assertEqual(await self.answer(client, link), "")
        settings = settings.replace("shadow = true\n", "")
        client = await self.connect(await self.start_relay(settings))
        link = _STRANGER.sign("see https://example.com/2")
        self.assertEqual(await self.answer(client, link), "blocked")
        self.assertEqual(await self.answer(client, _STRANGER.sign("no link")), "")

    async def test_articles(self) -> None:
        """Articles are kept, notes are not."""
        client = await self.connect(
            await self.start("Only profiles, lists and articles:")
        )
        article = _STRANGER.sign("long", kind=30023, tags=[["d", "a"]])
        self.assertEqual(await self.answer(client, article), "")
        self.assertEqual(await self.answer(client, _STRANGER.sign("note")), "blocked")
