"""One relay process takes over from another, while clients are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import FREE_PORT, RelayProcess
from tests.live.steady import SteadyPublisher, SteadySubscriber

_SOCKET = "takeover.sock"
_PUBLISHERS = 6
_SUBSCRIBERS = 6


def settings(workers: int = 1, drain_seconds: float = 1.0, more: str = "") -> str:
    """A settings file with a takeover."""
    return (
        f'[listen]\ntakeover = "{_SOCKET}"\n'
        f"[cluster]\nworkers = {workers}\n"
        f"[limits]\nmax_limit = 100000\ndefault_limit = 100000\n"
        f"[timing]\ndrain_seconds = {drain_seconds}\n{more}"
    )


class TakeoverTestCase(LiveTestCase):
    """Relays that hand over to one another."""

    timeout = 180

    @property
    def path(self) -> Path:
        """Where they meet."""
        return self.directory / _SOCKET

    async def publishing(self, relay: RelayProcess) -> list[SteadyPublisher]:
        """Publishers at work."""
        made = [SteadyPublisher(relay, f"author {n}") for n in range(_PUBLISHERS)]
        for each in made:
            await each.start()
            self.addCleanup(each.stop)
        return made

    async def subscribed(self, relay: RelayProcess) -> list[SteadySubscriber]:
        """Subscribers that have got all that is stored."""
        made = [SteadySubscriber(relay) for _ in range(_SUBSCRIBERS)]
        for each in made:
            await each.start()
            self.addCleanup(each.stop)
            await each.ready
        return made

    async def check_takeovers(self, *workers: int, listen: str = FREE_PORT) -> None:
        """Under load, one relay after another takes over; nothing is lost."""
        first, *others = workers
        relay = await self.start_relay(settings(first), listen)
        subscribers = await self.subscribed(relay)
        publishers = await self.publishing(relay)
        url = relay.url
        for number in others:
            await deferLater(reactor, 0.5)
            before, relay = relay, await self.start_relay(settings(number), listen)
            self.assertEqual(relay.url, url)
            self.assertEqual(await before.end(), 0)
            self.assertIn("Another process serves clients", before.output)
        await deferLater(reactor, 0.5)
        for each in publishers:
            await each.finish()
        accepted = {id_ for each in publishers for id_ in each.accepted}
        await self.until(lambda: all(accepted <= each.seen for each in subscribers))
        for subscriber in subscribers:
            await subscriber.stop()
        everybody: list[Any] = [*publishers, *subscribers]
        for client in everybody:
            self.assertIsNone(client.trouble)
            endings = [(each.clean, each.code) for each in client.closings]
            self.assertEqual(endings, [(True, 1012)] * len(others))
        for publisher in publishers:
            self.assertEqual(publisher.refused, [])
        for subscriber in subscribers:
            told = set(subscriber.closed)
            self.assertEqual(told, {"error: restarting, reconnect"})
        client = await self.connect(relay)
        stored = await client.by_id(sorted(accepted))
        self.assertEqual(stored.keys(), accepted)
        if "GAPS" in os.environ:
            gaps = [f"{each.longest_gap * 1000:.0f}" for each in publishers]
            print(workers, len(accepted), "events; gaps in ms:", *gaps)

    async def until(self, true: Any, seconds: float = 20) -> None:
        """Wait until something is true."""
        for _ in range(int(seconds / 0.02)):
            if true():
                return
            await deferLater(reactor, 0.02)
        self.fail(f"not within {seconds} s")


class TakeoverTests(TakeoverTestCase):
    """What clients and operators see."""

    async def test_under_load(self) -> None:
        """
        Nobody is refused, no event that was acknowledged is lost, and no subscriber
        that comes again misses any; the processes before end by themselves.
        """
        await self.check_takeovers(1, 1, 1)

    async def test_other_numbers_of_workers(self) -> None:
        """The next one may have more workers than the one before, or fewer."""
        await self.check_takeovers(1, 3, 2, 1)
