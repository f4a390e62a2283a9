"""Real events from public relays, published and read back."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.live.expectation import Expectation
from tests.live.live_case import LiveTestCase
from tests.live.relay_process import ROOT

_SAMPLE = ROOT / "tests" / "data" / "real-events.jsonl"
_ALL = ROOT.parent / "shared" / "data" / "real-events.jsonl"


class RealEventTests(LiveTestCase):
    """What becomes of what people really publish."""

    maxDiff = None

    async def _publish_and_read_back(self, path: Path) -> None:
        with path.open(encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines]
        expectation = Expectation(int(time.time()))
        expected = {event["id"]: expectation.answer(event) for event in events}
        client = await self.connect(await self.start_relay())
        answers = await client.publish(events)
        wrong = {
            id_: (answers.get(id_), (accepted, prefix))
            for id_, (accepted, prefix) in expected.items()
            if answers.get(id_, (None, ""))[0] is not accepted
            or not answers[id_][1].startswith(prefix)
        }
        self.assertEqual(wrong, {})
        served = await client.by_id(list(expected))
        self.assertEqual(set(served), set(expectation.served))
        for id_, event in served.items():
            self.assertEqual(event, expectation.served[id_])
        everything = await client.query({"limit": 5000})
        order = [(-event["created_at"], event["id"]) for event in everything]
        self.assertEqual(order, sorted(order))
        self.assertEqual({event["id"] for event in everything}, set(served))

    async def test_sample(self) -> None:
        """
        Each is accepted, or refused with the reason, and those that count are served
        as they were sent, newest first; none that was superseded or deleted is.
        """
        await self._publish_and_read_back(_SAMPLE)

    async def test_all(self) -> None:
        """The same for a larger collection, where there is one beside the project."""
        path = _ALL if _ALL.exists() else _SAMPLE
        await self._publish_and_read_back(path)
