"""What is left after the worst: SIGKILL, and a disk that takes no more."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import DEVNULL, run
from typing import Any, Protocol

from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.expectation import address, rank
from tests.live.live_case import LiveTestCase
from tests.live.occasion import Occasion
from tests.live.relay_process import RelayProcess


def _events(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Notes, and versions of what authors replace, some out of order."""
    choices = random.Random(seed)
    authors = [Author(f"durable {number}") for number in range(8)]
    for number in range(count):
        author = choices.choice(authors)
        kind = choices.choice((1, 1, 1, 7, 0, 3, 10002, 30023))
        tags = [["t", f"seed-{seed}"]]
        if kind == 30023:
            tags.append(["d", choices.choice("ab")])
        created_at = 1_750_000_000 + seed * 10_000 + number + choices.randint(-40, 0)
        content = f"{seed}/{number} " + "x" * choices.randint(0, 300)
        yield author.sign(content, kind=kind, tags=tags, created_at=created_at)


class _Publisher:
    """
    Publishes as fast as the relay takes it, until the connection ends.

    Attributes:
        client: Its connection.
        accepted: The events answered with OK true.
        enough: That ``enough`` of them were.
    """

    def __init__(
        self, client: LiveClient, events: Iterator[dict[str, Any]], enough: int
    ) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.enough: Occasion[bool] = Occasion()
        self._limit = enough
        self.client = client
        self._events = events
        self._sent: dict[str, dict[str, Any]] = {}
        client.watch = self._take
        for _ in range(150):
            self._send()

    def _send(self) -> None:
        event = next(self._events)
        self._sent[event["id"]] = event
        self.client.send("EVENT", event)

    def _take(self, message: list[Any]) -> None:
        if message[2]:
            self.accepted.append(self._sent[message[1]])
            if len(self.accepted) == self._limit:
                self.enough.happens(True)
        self._send()


class KillTests(LiveTestCase):
    """OK true means that an event outlives the process."""

    async def test_killed_while_storing(self) -> None:
        """
        After ``kill -9`` every accepted event is there, or a later version of it.

        Five times over the same store, each time at another moment.
        """
        accepted: dict[str, dict[str, Any]] = {}
        relay = await self.start_relay()
        for seed in range(5):
            publishers = [
                _Publisher(
                    await self.connect(relay),
                    _events(2 * seed + half, 5000),
                    enough=150 + 170 * seed + 60 * half,
                )
                for half in range(2)
            ]
            await publishers[seed % 2].enough.wait(30)
            self.assertEqual(await relay.stop("KILL"), -SIGKILL)
            for publisher in publishers:
                await publisher.client.leave()
                for event in publisher.accepted:
                    accepted[event["id"]] = event
            relay = await self.start_relay()
            await self._check(await self.connect(relay), accepted)
        self.assertGreater(len(accepted), 2000)

    async def _check(
        self, client: LiveClient, accepted: dict[str, dict[str, Any]]
    ) -> None:
        served = await client.by_id(list(accepted))
        for id_, event in served.items():
            self.assertEqual(event, accepted[id_])
        for id_ in set(accepted) - set(served):
            lost = accepted[id_]
            where = address(lost)
            self.assertIsNotNone(where, f"lost: {lost}")
            assert where is not None
            kind, pubkey, d = where
            wanted: dict[str, Any] = {"kinds": [kind], "authors": [pubkey]}
            if kind >= 30000:
                wanted["#d"] = [d]
            current = await client.query(wanted)
            self.assertEqual(len(current), 1, f"lost: {lost}")
            self.assertGreater(rank(current[0]), rank(lost), f"lost: {lost}")


class _Room(Protocol):
    """Decides how much a relay can store."""

    def shrink(self, relay: RelayProcess) -> None:
        """Leave room for some hundred events."""

    def grow(self, relay: RelayProcess) -> None:
        """Leave room for any number."""


class _FileSizeLimit:
    """A limit of the process; needs no privileges."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def shrink(self, relay: RelayProcess) -> None:
        size = max(path.stat().st_size for path in self._store.iterdir())
        limit = (size + 200_000, resource.RLIM_INFINITY)
        resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, limit)

    def grow(self, relay: RelayProcess) -> None:
        limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, limit)


class _SmallDisk:
    """A file system of its own, if the one who runs the tests may mount one."""

    def __init__(self, store: Path) -> None:
        self._store = str(store)

    def mount(self) -> bool:
        """Whether that is possible."""
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", self._store]
        return run(command, stderr=DEVNULL).returncode == 0

    def unmount(self) -> None:
        run(["umount", "--lazy", self._store], check=True)

    def shrink(self, relay: RelayProcess) -> None:
        """It is small from the beginning."""

    def grow(self, relay: RelayProcess) -> None:
        run(["mount", "-o", "remount,size=64m", self._store], check=True)


class FullDiskTests(LiveTestCase):
    """A store that cannot grow costs new events, and nothing else."""

    async def _check(self, room: _Room) -> None:
        relay = await self.start_relay()
        client = await self.connect(relay)
        author = Author("full disk")
        before = [author.sign(f"before {number}") for number in range(300)]
        answers = await client.publish(before)
        self.assertEqual(set(answers.values()), {(True, "")})

        room.shrink(relay)
        during = [author.sign(f"{number} " + "x" * 2000) for number in range(1000)]
        ids = [event["id"] for event in (*before, *during)]
        answers = await client.publish(during, window=50)
        refused = {text for accepted, text in answers.values() if not accepted}
        self.assertNotEqual(refused, set())
        for text in refused:
            self.assertTrue(text.startswith("error: "), text)
        accepted = [event for event in during if answers[event["id"]][0]]
        stored = {event["id"]: event for event in (*before, *accepted)}
        self.assertEqual(await client.by_id(ids), stored)

        room.grow(relay)
        again = [event for event in during if event not in accepted]
        answers = await client.publish(again)
        self.assertEqual(set(answers.values()), {(True, "")})
        self.assertEqual(await relay.stop(), -SIGTERM)
        client = await self.connect(await self.start_relay())
        self.assertEqual(len(await client.by_id(ids)), len(ids))

    async def test_full_disk(self) -> None:
        """
        Events are refused with ``error:`` while the disk is full; what was accepted
        is served all the time; with room again, events are accepted again.
        """
        store = self.directory / "store"
        store.mkdir()
        disk = _SmallDisk(store)
        if disk.mount():
            self.addCleanup(disk.unmount)
            await self._check(disk)
        else:
            await self._check(_FileSizeLimit(store))

    async def test_file_size_limit(self) -> None:
        """The same where the operating system lets no file grow any more."""
        # The store does not know this error, so it is logged in full.
        self.may_log_faults = True
        await self._check(_FileSizeLimit(self.directory / "store"))
