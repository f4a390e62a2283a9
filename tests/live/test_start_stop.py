"""Starting and stopping the relay as an operator does."""

from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.occasion import Occasion
from tests.live.reactor import reactor
from tests.live.relay_process import (
    FREE_PORT,
    ROOT,
    RelayProcess,
    daemonize,
    run_to_end,
    running_in,
)


class _Load:
    """
    One client that publishes and asks at once; remembers every answer.

    Attributes:
        sent: Ids of the events sent, in order.
        accepted: Ids of those answered with OK true.
        answered: How often each was answered.
        requests: Subscription ids sent, in order.
        answers: What each subscription was told, in order.
        under_way: That some events were accepted.
    """

    def __init__(self, client: LiveClient, events: list[dict[str, Any]]) -> None:
        self.client = client
        self.sent = [event["id"] for event in events]
        self.accepted: set[str] = set()
        self.answered: Counter[str] = Counter()
        self.requests: list[str] = []
        self.answers: dict[str, list[str]] = {}
        self.under_way: Occasion[bool] = Occasion()
        client.watch = self._take
        client.send("REQ", "live", {"kinds": [1]})
        self.requests.append("live")
        for number, event in enumerate(events):
            client.send("EVENT", event)
            if number % 4 == 0:
                subscription = f"stored-{number}"
                client.send("REQ", subscription, {"ids": self.sent[: number + 1][-20:]})
                self.requests.append(subscription)

    def _take(self, message: list[Any]) -> None:
        if message[0] == "OK":
            self.answered[message[1]] += 1
            if message[2]:
                self.accepted.add(message[1])
            if len(self.accepted) == 100:
                self.under_way.happens(True)
        elif message[0] in ("EOSE", "CLOSED"):
            self.answers.setdefault(message[1], []).append(message[0])


class StopTests(LiveTestCase):
    """What clients may rely on when the relay is stopped while it is busy."""

    async def _stopped_under_load(self, name: str, number: int) -> None:
        relay = await self.start_relay("[limits]\nmax_subscriptions = 1000\n")
        loads = []
        for each in range(4):
            author = Author(f"load {each}")
            events = [author.sign(f"{name} note {n}") for n in range(800)]
            loads.append(_Load(await self.connect(relay), events))
        for load in loads:
            await load.under_way.wait(30)
        # twistd stops, and then lets the signal do what it does.
        self.assertEqual(await relay.stop(name), -number)

        for load in loads:
            closing = await load.client.leave()
            self.assertEqual((closing.clean, closing.code), (True, 1001))
            # What was taken up was answered: messages take effect in order, so
            # that is everything up to the last that got any answer.
            last = max(load.sent.index(event) for event in load.answered)
            self.assertEqual(load.answered, Counter(load.sent[: last + 1]))
            last = max(load.requests.index(request) for request in load.answers)
            for request in load.requests[: last + 1]:
                self.assertIn(
                    load.answers.get(request), (["EOSE", "CLOSED"], ["CLOSED"]), request
                )

        accepted = [event for load in loads for event in load.accepted]
        client = await self.connect(await self.start_relay())
        found = await client.by_id(accepted)
        self.assertEqual(len(set(accepted) - set(found)), 0)

    async def test_terminate(self) -> None:
        """SIGTERM loses no acknowledged event and leaves no request open."""
        await self._stopped_under_load("TERM", SIGTERM)

    async def test_interrupt(self) -> None:
        """Control-C does the same."""
        await self._stopped_under_load("INT", SIGINT)

    async def test_idle(self) -> None:
        """An idle client hears that its subscription ends, why, and then 1001."""
        relay = await self.start_relay()
        client = await self.connect(relay)
        client.send("REQ", "open", {})
        self.assertEqual((await client.receive())[:2], ["EOSE", "open"])
        self.assertEqual(await relay.stop(), -SIGTERM)
        self.assertEqual(
            await client.receive(), ["CLOSED", "open", "error: shutting down"]
        )
        self.assertEqual((await client.leave()).code, 1001)


class RefusedStartTests(LiveTestCase):
    """A relay that cannot serve says why in one line, and ends."""

    async def _assert_refused(self, culprit: str, *arguments: str) -> None:
        code, output = await run_to_end(self.directory, ["nostr-relay", *arguments])
        self.assertNotEqual(code, 0)
        self.assertNotIn("Traceback", output)
        lines = [line for line in output.splitlines() if "nostr-relay: " in line]
        self.assertEqual(len(lines), 1, output)
        self.assertIn(culprit, lines[0])

    async def test_wrong_option(self) -> None:
        """An option that does not exist."""
        await self._assert_refused("--lisen", "--lisen", "tcp:0")

    async def test_wrong_endpoint(self) -> None:
        """A place to listen that Twisted does not understand."""
        await self._assert_refused("tpc:0", "--listen", "tpc:0")

    async def test_wrong_setting(self) -> None:
        """A setting that does not exist."""
        (self.directory / "settings.toml").write_text("[limits]\nmax_limitt = 1\n")
        await self._assert_refused("max_limitt", "--config", "settings.toml")

    async def test_no_settings(self) -> None:
        """A settings file that is not there."""
        await self._assert_refused("absent.toml", "--config", "absent.toml")

    async def test_unusable_store(self) -> None:
        """A store that cannot be made where it should be."""
        (self.directory / "file").write_text("not a directory")
        await self._assert_refused(
            "file", "--listen", FREE_PORT, "--store", "lmdb:file/store"
        )

    async def test_unknown_store(self) -> None:
        """A kind of store that there is not."""
        await self._assert_refused(
            "floppy:", "--listen", FREE_PORT, "--store", "floppy:A"
        )

    async def test_taken_port(self) -> None:
        """A port where something else listens."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            endpoint = f"tcp:{port}:interface=127.0.0.1"
            await self._assert_refused(
                str(port), "--listen", endpoint, "--store", "lmdb:store"
            )


class DaemonTests(LiveTestCase):
    """A relay that cannot serve as a daemon, which ``twistd`` learns only then."""

    async def _assert_refused(self, workers: int) -> None:
        settings = f"[cluster]\nworkers = {workers}\n"
        (self.directory / "file").write_text("not a directory")
        self.addCleanup(self._kill_all)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            endpoint = f"tcp:{port}:interface=127.0.0.1"
            for culprit, arguments in (
                ("file", ("--listen", FREE_PORT, "--store", "lmdb:file/store")),
                (str(port), ("--listen", endpoint, "--store", "lmdb:store")),
            ):
                code = await daemonize(self.directory, settings, arguments)
                self.assertEqual(code, 1)
                await self._until_gone()
                log = self.directory / "log"
                lines = [
                    line
                    for line in log.read_text().splitlines()
                    if "nostr-relay: " in line and culprit in line
                ]
                self.assertNotEqual(lines, [], log.read_text())
                self.assertFalse((self.directory / "pid").exists())
                log.unlink()

    async def _until_gone(self) -> None:
        """Fail unless all that was started ends by itself."""
        for _ in range(500):
            if not running_in(self.directory):
                return
            await deferLater(reactor, 0.02)
        self.fail("something goes on")

    def _kill_all(self) -> None:
        for pid in running_in(self.directory):
            os.kill(pid, SIGKILL)

    async def test_one_process(self) -> None:
        """It says so with its exit code and in the log, and nothing stays."""
        await self._assert_refused(1)

    async def test_two_workers(self) -> None:
        """So does one of several processes."""
        await self._assert_refused(2)


class ApplicationFileTests(LiveTestCase):
    """The relay as ``twistd -y relay.tac``, for those who deploy that way."""

    async def test_settings_from_environment(self) -> None:
        """NOSTRTX_CONFIG names the settings file."""
        settings = self.directory / "elsewhere.toml"
        settings.write_text(
            f'[listen]\nendpoints = ["{FREE_PORT}"]\n[store]\nurl = "lmdb:tac-store"\n'
        )
        relay = self.ends(
            await RelayProcess.spawn(
                self.directory,
                ["-y", str(ROOT / "relay.tac")],
                NOSTRTX_CONFIG=str(settings),
            )
        )
        client = await self.connect(relay)
        note = Author("tac").sign("by way of an application file")
        answers = await client.publish([note])
        self.assertEqual(answers, {note["id"]: (True, "")})
        self.assertEqual(await client.query({"ids": [note["id"]]}), [note])
        self.assertTrue(Path(self.directory, "tac-store").is_dir())
