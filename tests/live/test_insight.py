"""Metrics and health of running relays, as Prometheus and a balancer see them."""

from __future__ import annotations

import json
import re
from typing import Any

import treq
from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.web.test_metrics import parsed

_ADMIN = '[admin]\nendpoints = ["tcp:0:interface=127.0.0.1"]\n'

#: So many answers are taken for those of all workers, and so many are awaited.
_IN_A_ROW = 10
_MOST_ASKED = 100


class InsightTests(LiveTestCase):
    """The operator's pages."""

    _published = 0

    async def get(self, relay: RelayProcess, page: str) -> tuple[int, bytes]:
        """Status and body of one of the pages, on a connection of its own."""
        found = re.search(r"Metrics and health are at (http://\S+)", relay.output)
        assert found is not None, relay.output
        response = await treq.get(found[1] + page, persistent=False)
        return response.code, await response.content()

    def by_label(self, family: Any, label: str) -> dict[str, float]:
        """The values of a family by a label."""
        return {each.labels[label]: each.value for each in family.samples}

    async def metrics(self, relay: RelayProcess) -> dict[str, Any]:
        """The families of metrics by name."""
        code, body = await self.get(relay, "metrics")
        self.assertEqual(code, 200)
        return parsed(body)

    async def publish(self, relay: RelayProcess, count: int) -> None:
        """Have new events stored by way of a connection of its own."""
        client = await self.connect(relay)
        self._published += count
        author = Author(f"author {self._published}")
        await client.publish([author.sign(str(number)) for number in range(count)])
        await client.leave()

    async def test_one_process(self) -> None:
        """A relay tells what it has done, that it is well, and how large it is."""
        relay = await self.start_relay(_ADMIN)
        self.assertEqual(await self.get(relay, "healthz"), (200, b"ok\n"))
        code, body = await self.get(relay, "readyz")
        self.assertEqual((code, json.loads(body)["ready"]), (200, True))
        await self.publish(relay, 3)
        shown = await self.metrics(relay)
        kinds = self.by_label(shown["nostrtx_events_accepted"], "kind")
        self.assertEqual(kinds, {"1": 3})
        sizes = self.by_label(shown["nostrtx_store_bytes"], "part")
        self.assertGreater(sizes["events"], 0)
        samples = shown["nostrtx_delivery_seconds"].samples
        counts = [each.value for each in samples if each.name.endswith("_count")]
        self.assertEqual(counts, [3])

    async def test_policies(self) -> None:
        """What policies say is told in one way, of rates, of rules, and in shadow."""
        relay = await self.start_relay(
            f"""{_ADMIN}
            [rates]
            exempt = []
            address_events = "3/d"
            shadow = true
            [[rules]]
            name = "no-likes"
            kinds = [7]
            """
        )
        client = await self.connect(relay)
        author = Author("who likes too much")
        events = [author.sign(str(number)) for number in range(4)]
        events.append(author.sign("+", kind=7))
        answers = await client.publish(events)
        taken = [answers[event["id"]][0] for event in events]
        self.assertEqual(taken, [True] * 4 + [False])
        told = {
            tuple(sample.labels[name] for name in ("policy", "rule", "enforced")): (
                sample.value
            )
            for sample in (await self.metrics(relay))["nostrtx_policy_verdicts"].samples
            if sample.labels["verdict"] == "refused"
        }
        self.assertEqual(
            told,
            {("rates", "address_events", "no"): 2, ("rules", "no-likes", "yes"): 1},
        )

    async def test_workers(self) -> None:
        """Any worker tells what all of them have done."""
        relay = await self.start_relay(f"[cluster]\nworkers = 2\n{_ADMIN}")
        for _ in range(6):
            await self.publish(relay, 2)
        told: list[tuple[float, float]] = []
        # Whoever of them is asked.
        while told[-_IN_A_ROW:] != [(12, 2)] * _IN_A_ROW:
            self.assertLess(len(told), _MOST_ASKED, told)
            await deferLater(reactor, 0.2)
            shown = await self.metrics(relay)
            events, processes = (
                shown[name].samples[0].value
                for name in ("nostrtx_events", "nostrtx_processes")
            )
            told.append((events, processes))
