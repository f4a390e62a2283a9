"""Search (NIP-50) in a real relay, with a store on disk."""

from __future__ import annotations

from typing import Any

from tests.live.authors import Author
from tests.live.live_case import LiveTestCase


def contents(events: list[dict[str, Any]]) -> list[str]:
    """What the events say, in the order in which they came."""
    return [event["content"] for event in events]


class SearchTests(LiveTestCase):
    """What a client that searches may rely on."""

    async def test_found_at_once(self) -> None:
        """
        What was accepted is found by the next search, best first; what was deleted or
        replaced is not; other conditions hold; counts agree.
        """
        relay = await self.start_relay()
        client = await self.connect(relay)
        anna, berta = Author("search anna"), Author("search berta")
        notes = [
            anna.sign("orange juice"),
            anna.sign("orange orange orange"),
            berta.sign("オレンジジュースと東京"),
            berta.sign("an apple, and a very long story that has one orange in it"),
        ]
        await client.publish(notes)
        found = await client.query({"search": "Orange!"})
        self.assertEqual(contents(found)[0], "orange orange orange")
        self.assertEqual(len(found), 3)
        for filter_, expected in (
            ({"search": "orange language:en", "authors": [berta.pubkey]}, [3]),
            ({"search": "東京"}, [2]),
            ({"search": "ジュース", "kinds": [1]}, [2]),
            ({"search": "orange juice -x OR ("}, []),
            ({"search": "juice (orange)"}, [0]),
            ({"search": "orange", "kinds": [0]}, []),
        ):
            found = await client.query(filter_)
            self.assertEqual(found, [notes[n] for n in expected], filter_)
        await client.publish(
            [
                anna.sign(kind=5, tags=[["e", notes[1]["id"]]]),
                anna.sign('{"name":"anna orange"}', kind=0, created_at=1_700_000_000),
                anna.sign('{"name":"anna blue"}', kind=0, created_at=1_700_000_001),
            ]
        )
        found = await client.query({"search": "orange"}, {"search": "blue"})
        self.assertEqual(
            sorted(event["id"] for event in found if event["kind"] == 1),
            sorted([notes[0]["id"], notes[3]["id"]]),
        )
        self.assertEqual(
            [event["content"] for event in found if event["kind"] == 0],
            ['{"name":"anna blue"}'],
        )
        client.send("COUNT", "c", {"search": "orange"})
        count = await client.receive()
        self.assertEqual((count[:2], count[2]["count"]), (["COUNT", "c"], 2))

    async def test_live(self) -> None:
        """After the stored events come new ones that match."""
        relay = await self.start_relay()
        client, other = await self.connect(relay), await self.connect(relay)
        author = Author("search live")
        client.send("REQ", "s", {"search": "news", "limit": 10})
        self.assertEqual((await client.receive())[:2], ["EOSE", "s"])
        events = [author.sign("weather"), author.sign("Big news")]
        await other.publish(events)
        self.assertEqual(await client.receive(), ["EVENT", "s", events[1]])

    async def test_killed(self) -> None:
        """A relay that was killed finds everything it had accepted."""
        relay = await self.start_relay()
        client = await self.connect(relay)
        author = Author("search killed")
        notes = [author.sign(f"note number {n}") for n in range(300)]
        await client.publish(notes)
        await relay.stop("KILL")
        client = await self.connect(await self.start_relay())
        found = await client.query({"search": "note number", "limit": 500})
        self.assertEqual(len(found), 300)
        found = await client.query({"search": "number 217"})
        self.assertEqual(found, [notes[217]])

    async def test_off(self) -> None:
        """A relay without search refuses it, and goes on with everything else."""
        relay = await self.start_relay("[search]\nenabled = false\n")
        client = await self.connect(relay)
        client.send("REQ", "s", {"search": "x"})
        self.assertEqual(await client.receive(), ["CLOSED", "s", "unsupported: search"])
        self.assertEqual(await client.query({"kinds": [1]}), [])
        self.assertFalse((self.directory / "store" / "search").exists())
