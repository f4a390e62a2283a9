"""A relay of several processes: what clients and operators may rely on."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall, deferLater

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
)

_TWO = "[cluster]\nworkers = 2\n"


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except FileNotFoundError:
        return []


def sockets(pid: int) -> set[str]:
    """The sockets that a process has open."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass
    return found


def connections(pid: int) -> int:
    """How many established TCP connections a process has."""
    established = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01":
            established.add(f"socket:[{fields[9]}]")
    return len(established & sockets(pid))


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """Kill a process of this test if there still is one."""
    if runs(pid):
        os.kill(pid, SIGKILL)


class Subscriber:
    """
    Takes note of every event it gets, and how often.

    Args:
        client: Subscribes to all notes.

    Attributes:
        counts: How often each event came, by id.
        ready: That it is subscribed.
    """

    def __init__(self, client: LiveClient) -> None:
        self.client = client
        self.counts: Counter[str] = Counter()
        self.ready: Occasion[bool] = Occasion()
        client.watch = self.take
        client.send("REQ", "all", {"kinds": [1], "limit": 0})

    def take(self, message: list[Any]) -> None:
        """Look at a message that has come."""
        if message[0] == "EOSE":
            self.ready.happens(True)
        elif message[0] == "EVENT":
            self.counts[message[2]["id"]] += 1


class Publisher:
    """
    Publishes until it has no more events or the connection ends.

    Args:
        client: Its connection.
        events: What it publishes.

    Attributes:
        accepted: Ids of the events answered with OK true.
        done: That all are answered.
    """

    def __init__(self, client: LiveClient, events: Iterator[dict[str, Any]]) -> None:
        self.accepted: set[str] = set()
        self.done: Occasion[bool] = Occasion()
        self.client = client
        self._events = events
        self._waiting = 0
        client.watch = self._take
        for _ in range(50):
            self._send()

    def _send(self) -> None:
        event = next(self._events, None)
        if event is not None:
            self._waiting += 1
            self.client.send("EVENT", event)
        elif not self._waiting:
            self.done.happens(True)

    def _take(self, message: list[Any]) -> None:
        if message[0] == "OK":
            self._waiting -= 1
            if message[2]:
                self.accepted.add(message[1])
            self._send()


def notes(name: str, count: int) -> Iterator[dict[str, Any]]:
    """Notes of one author."""
    author = Author(name)
    for number in range(count):
        yield author.sign(f"{name} {number}")


class Asking(Protocol):
    """
    Asks for the information document.

    Attributes:
        status: The first line of the answer.
        ended: That the connection has ended.
    """

    transport: Any

    def __init__(self) -> None:
        self.status: Occasion[bytes] = Occasion()
        self.ended: Occasion[bool] = Occasion()
        self._received = b""

    def ask(self, head: bytes) -> None:
        """Send the request, and before it ``head``."""
        request = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/nostr+json\r\n\r\n"
        self.transport.write(head + request)

    def dataReceived(self, data: bytes) -> None:
        """Take the answer."""
        self._received += data
        if b"\r\n" in self._received and self.status.value is None:
            self.status.happens(self._received.partition(b"\r\n")[0])

    def connectionLost(self, reason: object = None) -> None:
        """Say so."""
        self.ended.happens(True)


class WorkersTestCase(LiveTestCase):
    """Relays of two workers."""

    async def start_relay(
        self, settings: str = _TWO, listen: str = FREE_PORT
    ) -> RelayProcess:
        """A relay of two workers."""
        return await super().start_relay(settings, listen)

    async def spread(self, relay: RelayProcess, count: int) -> list[LiveClient]:
        """Clients, of whom every worker has some."""
        clients = [await self.connect(relay) for _ in range(count)]
        for worker in children(relay.pid):
            self.assertGreater(connections(worker), 0)
        return clients

    async def subscribers(self, clients: list[LiveClient]) -> list[Subscriber]:
        """Subscribers that are ready."""
        made = [Subscriber(client) for client in clients]
        for each in made:
            await each.ready.wait(20)
        return made

    async def until(self, true: Any, what: str, seconds: float = 20) -> None:
        """Wait until something is true."""
        for _ in range(int(seconds / 0.02)):
            if true():
                return
            await deferLater(reactor, 0.02)
        self.fail(f"not within {seconds} s: {what}")


class ServingTests(WorkersTestCase):
    """Clients see one relay."""

    async def test_delivered_once(self) -> None:
        """
        What is published through any worker reaches every subscriber of every
        worker, exactly once.
        """
        relay = await self.start_relay()
        self.assertEqual(len(children(relay.pid)), 2)
        clients = await self.spread(relay, 24)
        subscribers = await self.subscribers(clients[4:])
        publishers = [
            Publisher(client, notes(f"publisher {number}", 500))
            for number, client in enumerate(clients[:4])
        ]
        for publisher in publishers:
            await publisher.done.wait(60)
        sent = Counter(id_ for each in publishers for id_ in each.accepted)
        self.assertEqual(len(sent), 2000)
        for subscriber in subscribers:
            await self.until(lambda s=subscriber: len(s.counts) == 2000, "delivered")
        await deferLater(reactor, 0.3)
        for subscriber in subscribers:
            self.assertEqual(subscriber.counts, sent)

    async def test_spread(self) -> None:
        """Connections are spread over the workers, and queries see all events."""
        relay = await self.start_relay()
        clients = await self.spread(relay, 60)
        held = [connections(worker) for worker in children(relay.pid)]
        self.assertEqual(sum(held), 60)
        self.assertGreater(min(held), 10)
        events = list(notes("spread", len(clients)))
        for client, event in zip(clients, events, strict=True):
            answers = await client.publish([event])
            self.assertEqual(answers, {event["id"]: (True, "")})
            asked = clients[(events.index(event) * 7 + 1) % len(clients)]
            self.assertEqual(await asked.query({"ids": [event["id"]]}), [event])

    async def test_ephemeral(self) -> None:
        """Ephemeral events reach the clients of all workers, too."""
        relay = await self.start_relay()
        clients = await self.spread(relay, 16)
        for client in clients:
            client.send("REQ", "live", {"kinds": [20001]})
            self.assertEqual((await client.receive())[0], "EOSE")
        event = Author("ephemeral").sign("now", kind=20001)
        clients[0].send("EVENT", event)
        for client in clients[1:]:
            self.assertEqual(await client.receive(), ["EVENT", "live", event])

    async def test_search(self) -> None:
        """What was published through one worker is found by words through all."""
        relay = await self.start_relay()
        clients = await self.spread(relay, 12)
        for number, client in enumerate(clients[:4]):
            event = Author("search").sign(f"a heron, number {number}")
            await client.publish([event])
            for asked in clients:
                found = await asked.query({"search": "heron"})
                self.assertEqual(len(found), number + 1)
                self.assertIn(event, found)

    async def test_page(self) -> None:
        """The page shows the sums of all workers, whichever is asked."""
        relay = await self.start_relay()
        clients = await self.spread(relay, 20)
        for number, client in enumerate(clients):
            await client.publish(notes(f"page {number}", 3))

        def shown(page: str) -> list[int]:
            found = re.findall(r"<dt>([^<]*)</dt><dd>([\d,]+)</dd>", page)
            return [int(number.replace(",", "")) for _, number in found[:3]]

        url = relay.url.replace("ws", "http", 1)
        pages: list[list[int]] = []
        in_a_row = 0
        while in_a_row < 20 and len(pages) < 200:
            # Each request is a connection of its own, to any of the workers.
            response = await treq.get(url, persistent=False)
            pages.append(shown(await response.text()))
            in_a_row = in_a_row + 1 if pages[-1] == [20, 60, 60] else 0
            if not in_a_row:
                await deferLater(reactor, 0.2)
        self.assertEqual(pages[-20:], [[20, 60, 60]] * 20)

    async def test_stopped_worker(self) -> None:
        """
        A worker that stands still for a while delivers afterwards what it missed,
        once, and the others do not wait for it.
        """
        relay = await self.start_relay()
        clients = await self.spread(relay, 12)
        subscribers = await self.subscribers(clients)
        stopped, awake = children(relay.pid)
        os.kill(stopped, SIGSTOP)
        self.addCleanup(os.kill, stopped, SIGCONT)
        for client in clients:
            client.send("COUNT", "who", {"kinds": [1]})
        answered: set[LiveClient] = set()
        for client in clients:
            client.watch = lambda message, client=client: (
                answered.add(client) if message[0] == "COUNT" else None
            )
        await self.until(lambda: len(answered) == connections(awake), "answers")
        (awake_client, *_) = answered
        publisher = Publisher(awake_client, notes("stopped", 500))
        await publisher.done.wait(30)
        behind = [one for one in subscribers if one.client not in answered]
        for subscriber in behind:
            subscriber.client.watch = subscriber.take
        os.kill(stopped, SIGCONT)
        for subscriber in behind:
            await self.until(lambda s=subscriber: len(s.counts) == 500, "caught up")
            self.assertEqual(subscriber.counts, Counter(publisher.accepted))


class DyingTests(WorkersTestCase):
    """What happens when processes die."""

    async def test_killed_worker(self) -> None:
        """
        A worker that is killed under load is replaced: no acknowledged event is
        lost, its clients can connect again, and the others notice nothing.
        """
        relay = await self.start_relay()
        clients = await self.spread(relay, 24)
        subscribers = await self.subscribers(clients[12:])
        publishers = [
            Publisher(client, notes(f"killed {number}", 400))
            for number, client in enumerate(clients[:12])
        ]
        await self.until(
            lambda: sum(len(p.accepted) for p in publishers) > 1000, "under way"
        )
        victim, survivor = children(relay.pid)
        orphans = connections(victim)
        os.kill(victim, SIGKILL)

        def ended() -> int:
            return sum(client.closed.value is not None for client in clients)

        await self.until(lambda: ended() == orphans, "ended")
        again = [await self.connect(relay) for _ in range(20)]
        await self.until(lambda: len(children(relay.pid)) == 2, "replaced")
        self.assertIn(survivor, children(relay.pid))
        for publisher in publishers:
            if publisher.client.closed.value is None:
                await publisher.done.wait(60)
                self.assertEqual(len(publisher.accepted), 400)
        accepted = {id_ for each in publishers for id_ in each.accepted}
        for client in again:
            found = await client.by_id(sorted(accepted)[:200])
            self.assertEqual(len(found), 200)
        self.assertEqual(len(await again[0].by_id(list(accepted))), len(accepted))
        for subscriber in subscribers:
            if subscriber.client.closed.value is None:
                await self.until(
                    lambda s=subscriber: accepted <= set(s.counts), "delivered"
                )
                self.assertEqual(set(subscriber.counts.values()), {1})
        # Both workers serve those who have come again.
        for worker in children(relay.pid):
            self.assertGreater(connections(worker), 0)
        self.assertIn("worker 1 has ended, and is replaced", relay.output)
        self.assertEqual(ended(), orphans)

    async def test_nobody_refused_meanwhile(self) -> None:
        """Who connects while a worker is replaced waits, and is not turned away."""
        relay = await self.start_relay()
        victim, _ = children(relay.pid)
        os.kill(victim, SIGKILL)
        clients = [self.connect(relay) for _ in range(30)]
        for connecting in clients:
            client = await connecting
            self.assertEqual(await client.query({"kinds": [1]}), [])

    async def test_place_cannot_be_filled(self) -> None:
        """
        If a worker dies again and again, the others serve all who connect, and when
        it is well at last, it gets its share again.
        """
        relay = await self.start_relay()
        _, survivor = children(relay.pid)

        def kill_others() -> None:
            for worker in children(relay.pid):
                if worker != survivor:
                    kill(worker)

        killing = LoopingCall(kill_others)
        ended: Deferred[LoopingCall] = killing.start(0.05)
        self.addCleanup(lambda: killing.stop() if killing.running else None)
        deaths = re.compile("worker 1 has ended, and is replaced")
        await self.until(lambda: len(deaths.findall(relay.output)) > 3, "deaths")
        for _ in range(30):
            client = await self.connect(relay)
            self.assertEqual(await client.query({"kinds": [1]}), [])
        self.assertEqual(connections(survivor), 30)
        killing.stop()
        await ended
        await self.until(lambda: "worker 1 is ready" in relay.output, "well again", 40)
        clients = await self.spread(relay, 30)
        for client in clients:
            self.assertEqual(await client.query({"kinds": [1]}), [])

    async def test_supervisor_killed(self) -> None:
        """Without their supervisor workers end, in order, and with them all others."""
        relay = await self.start_relay(
            "[cluster]\nworkers = 2\n[ingest]\nverifier_processes = 1\n"
        )
        clients = await self.spread(relay, 12)
        for client in clients:
            client.send("REQ", "open", {})
            self.assertEqual((await client.receive())[:2], ["EOSE", "open"])
        workers = children(relay.pid)
        everybody = workers + [child for each in workers for child in children(each)]
        self.assertEqual(len(everybody), 4)
        self.assertEqual(await relay.stop("KILL"), -SIGKILL)
        for client in clients:
            self.assertEqual((await client.receive())[:2], ["CLOSED", "open"])
            self.assertEqual((await client.leave()).code, 1001)
        await self.until(lambda: not any(map(runs, everybody)), "all gone")

    async def test_told_to_stop(self) -> None:
        """A worker that is told to stop by itself answers, ends, and is replaced."""
        relay = await self.start_relay()
        clients = await self.spread(relay, 12)
        for client in clients:
            client.send("REQ", "open", {})
            self.assertEqual((await client.receive())[:2], ["EOSE", "open"])
        worker, _ = children(relay.pid)
        leaving = connections(worker)
        os.kill(worker, SIGTERM)
        closed = 0
        await self.until(lambda: not runs(worker), "gone")
        for client in clients:
            if client.closed.value is not None:
                closed += 1
                self.assertEqual((await client.receive())[:2], ["CLOSED", "open"])
                self.assertEqual(client.closed.value.code, 1001)
        self.assertEqual(closed, leaving)
        await self.until(lambda: len(children(relay.pid)) == 2, "replaced")


class StopTests(WorkersTestCase):
    """The end of the relay."""

    async def _stopped_under_load(self, name: str, number: int) -> None:
        relay = await self.start_relay()
        clients = await self.spread(relay, 12)
        publishers = [
            Publisher(client, notes(f"{name} {each}", 1000))
            for each, client in enumerate(clients)
        ]
        await self.until(
            lambda: sum(len(p.accepted) for p in publishers) > 500, "under way"
        )
        workers = children(relay.pid)
        self.assertEqual(await relay.stop(name), -number)
        self.assertEqual([runs(worker) for worker in workers], [False, False])
        for client in clients:
            closing = await client.leave()
            self.assertEqual((closing.clean, closing.code), (True, 1001))
        self.assertNotIn("killed", relay.output)
        accepted = {id_ for each in publishers for id_ in each.accepted}
        client = await self.connect(await self.start_relay())
        self.assertEqual(set(await client.by_id(list(accepted))), accepted)

    async def test_terminate(self) -> None:
        """SIGTERM ends all in order, and loses no acknowledged event."""
        await self._stopped_under_load("TERM", SIGTERM)

    async def test_all_told(self) -> None:
        """So it does when every process gets the signal, as from systemd."""
        relay = await self.start_relay()
        client = await self.connect(relay)
        workers = children(relay.pid)
        for pid in (*workers, relay.pid, *workers):
            os.kill(pid, SIGTERM)
        self.assertEqual(await relay.end(), -SIGTERM)
        self.assertEqual((await client.leave()).code, 1001)

    async def test_stuck_worker(self) -> None:
        """A worker that does not stop is killed, and the relay ends all the same."""
        relay = await self.start_relay(_TWO + "[timing]\nshutdown_seconds = 0.5\n")
        stuck, other = children(relay.pid)
        self.addCleanup(kill, stuck)
        os.kill(stuck, SIGSTOP)
        self.assertEqual(await relay.stop(), -SIGTERM)
        self.assertIn("Workers that have not stopped are killed: 1.", relay.output)
        self.assertEqual([runs(stuck), runs(other)], [False, False])


class StartTests(WorkersTestCase):
    """The beginning."""

    async def _refused(self, culprit: str, *arguments: str) -> None:
        (self.directory / "two.toml").write_text(_TWO)
        arguments = ("nostr-relay", "--config", "two.toml", *arguments)
        code, output = await run_to_end(self.directory, arguments)
        self.assertEqual(code, 1, output)
        self.assertNotIn("Traceback", output)
        lines = [line for line in output.splitlines() if "nostr-relay: " in line]
        self.assertEqual(len(lines), 1, output)
        self.assertIn(culprit, lines[0])

    async def test_unusable_store(self) -> None:
        """A store that cannot be used is named in one line, and that is the end."""
        (self.directory / "file").write_text("not a directory")
        await self._refused("file", "--listen", FREE_PORT, "--store", "lmdb:file/store")

    async def test_memory(self) -> None:
        """Several processes cannot share a store in memory."""
        await self._refused("memory", "--listen", FREE_PORT, "--store", "memory:")

    async def test_wrong_endpoint(self) -> None:
        """An endpoint that is none."""
        await self._refused("tpc:0", "--listen", "tpc:0", "--store", "lmdb:store")

    async def test_port_of_another_relay(self) -> None:
        """A port that another relay of several workers serves is not shared with it."""
        relay = await self.start_relay()
        port = relay.address[1]
        await self._refused(
            f"127.0.0.1:{port}",
            *("--listen", f"tcp:{port}:interface=127.0.0.1"),
            *("--store", "lmdb:other"),
        )

    async def test_daemon(self) -> None:
        """As a daemon it serves when twistd comes back, and its log has everything."""
        arguments = ("--listen", FREE_PORT, "--store", "lmdb:store")
        self.assertEqual(await daemonize(self.directory, _TWO, arguments), 0)
        pid = int((self.directory / "pid").read_text())
        self.addCleanup(kill, pid)
        log = self.directory / "log"
        await self.until(lambda: "Listening on" in log.read_text(), "listening")
        workers = children(pid)
        self.assertEqual(len(workers), 2)
        os.kill(pid, SIGTERM)
        await self.until(lambda: not any(map(runs, (pid, *workers))), "gone")
        text = log.read_text()
        self.assertIn("worker 2: Main loop terminated.", text)
        self.assertNotIn("Traceback", text)
        self.assertFalse((self.directory / "pid").exists())

    async def test_application_file(self) -> None:
        """``twistd -y relay.tac`` runs workers as well."""
        settings = self.directory / "elsewhere.toml"
        settings.write_text(
            f'{_TWO}[listen]\nendpoints = ["{FREE_PORT}"]\n[store]\nurl = "lmdb:s"\n'
        )
        relay = self.ends(
            await RelayProcess.spawn(
                self.directory,
                ["-y", str(ROOT / "relay.tac")],
                NOSTRTX_CONFIG=str(settings),
            )
        )
        self.assertEqual(len(children(relay.pid)), 2)
        await self.spread(relay, 12)

    async def test_endpoints(self) -> None:
        """Endpoints of all kinds are served by all workers, each once announced."""
        path = self.directory / "socket"
        endpoints = (
            FREE_PORT,
            r"tcp6:0:interface=\\:\\:1",
            "haproxy:tcp:0:interface=127.0.0.1",
            f"unix:{path}",
        )
        listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
        (self.directory / "settings.toml").write_text(
            f"{_TWO}[listen]\nendpoints = [{listed}]\n"
        )
        arguments = ["nostr-relay", "--config", "settings.toml"]
        relay = self.ends(
            await RelayProcess.spawn(
                self.directory, [*arguments, "--store", "lmdb:store"]
            )
        )
        await self.until(
            lambda: relay.output.count("Listening on") == len(endpoints), "all open"
        )
        found = re.findall(r"Listening on (ws\S+)", relay.output)
        self.assertEqual(len(found), 3)
        heads = (b"", b"", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        for url, head in zip(found, heads, strict=True):
            host, port = re.findall(r"ws://\[?([^\]/]*?)\]?:(\d+)/", url)[0]
            host = host.replace(":", "\\:")
            await self._asked(relay, f"tcp:{host}:{port}", head)
        await self._asked(relay, f"unix:{path}", b"")
        self.assertEqual(await relay.stop(), -SIGTERM)
        self.assertFalse(path.exists())

    async def _asked(self, relay: RelayProcess, where: str, head: bytes) -> None:
        """All workers serve an endpoint; who takes a connection is left to chance."""
        workers = children(relay.pid)
        before = [sockets(worker) for worker in workers]
        asking = []
        for _ in range(500):
            endpoint = clientFromString(reactor, where)
            asking.append(await connectProtocol(endpoint, Asking()))
            await deferLater(reactor, 0.01)
            known = zip(workers, before, strict=True)
            if len(asking) >= 20 and all(sockets(each) - had for each, had in known):
                break
        else:
            self.fail(f"not served by all: {where}")
        for each in asking:
            each.ask(head)
            self.assertEqual(await each.status.wait(10), b"HTTP/1.1 200 OK")
            await each.ended.wait(10)
