"""One relay process takes over from another, while clients are there."""

from __future__ import annotations

import os
import re
import socket
import stat
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import attrs
import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from tests.certificates import write_certificates
from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.occasion import Occasion
from tests.live.postgres_server import PostgresServer
from tests.live.reactor import reactor
from tests.live.redis_server import REDIS_MISSING, RedisServer
from tests.live.relay_process import (
    FREE_PORT,
    PROXIED,
    WITH_PAGES,
    RelayProcess,
    run_to_end,
)
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


@attrs.frozen
class Place:
    """
    Where to connect.

    Attributes:
        url: As a client is told.
        address: Host and port.
    """

    url: str
    address: tuple[str, int]


class Talk(Protocol):
    """A connection whose other side answers once."""

    transport: Any

    def __init__(self) -> None:
        self._received = b""
        self._ended: Occasion[bool] = Occasion()

    def write(self, data: bytes) -> None:
        """Say something."""
        self.transport.write(data)

    async def answer(self) -> bytes:
        """All that is said until the end."""
        await self._ended.wait(20)
        return self._received

    def dataReceived(self, data: bytes) -> None:
        """Take what is said."""
        self._received += data

    def connectionLost(self, reason: object = None) -> None:
        """Nothing will be said any more."""
        self._ended.happens(True)


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

    async def start_one(self, workers: int) -> RelayProcess:
        """The next relay."""
        return await self.start_relay(settings(workers))

    async def check_takeovers(self, *workers: int) -> None:
        """Under load, one relay after another takes over; nothing is lost."""
        first, *others = workers
        relay = await self.start_one(first)
        subscribers = await self.subscribed(relay)
        publishers = await self.publishing(relay)
        url = relay.url
        for number in others:
            await deferLater(reactor, 0.5)
            before, relay = relay, await self.start_one(number)
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

    async def test_little_by_little(self) -> None:
        """Clients are sent away one after the other, over the time that is set."""
        relay = await self.start_relay(settings(drain_seconds=2.0))
        clients = [await self.connect(relay) for _ in range(40)]
        await self.start_relay(settings())
        ends: list[float] = []
        noting = [
            Deferred.fromCoroutine(self.note_end(client, ends)) for client in clients
        ]
        self.assertEqual(await relay.end(), 0)
        for noted in noting:
            await noted
        self.assertEqual(len(ends), 40)
        self.assertGreater(max(ends) - min(ends), 1.0)
        half = sorted(ends)[20] - min(ends)
        self.assertGreater(half, 0.3)

    async def test_just_connected(self) -> None:
        """Who has connected and said nothing yet is served all the same."""
        relay = await self.start_relay(settings(drain_seconds=0.2))
        silent = await self.opened(relay.address)
        await deferLater(reactor, 0.2)
        await self.start_relay(settings())
        await deferLater(reactor, 1.0)
        self.assertFalse(relay.has_ended)
        silent.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue((await silent.answer()).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(await relay.end(), 0)

    async def test_waits_in_the_queue(self) -> None:
        """Who connects while the old one is stuck is served by the next."""
        relay = await self.start_relay(settings())
        os.kill(relay.pid, SIGSTOP)
        self.addCleanup(self.go_on, relay)
        waiting = await self.opened(relay.address)
        waiting.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        starting = Deferred.fromCoroutine(self.start_relay(settings()))
        await deferLater(reactor, 0.5)
        self.go_on(relay)
        await starting
        self.assertTrue((await waiting.answer()).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(await relay.end(), 0)

    async def test_ephemeral(self) -> None:
        """
        While both serve, clients of one get the ephemeral events of the other's,
        though the two have other numbers of workers.
        """
        for before, after in ((1, 2), (2, 1)):
            await self.check_ephemeral(before, after)

    async def check_ephemeral(self, before: int, after: int) -> None:
        """Relays with these numbers of workers hear one another."""
        # They are sent away one after the other, which leaves some seconds.
        old = await self.start_relay(settings(before, drain_seconds=6.0))
        others = [await self.connect(old) for _ in range(60)]
        for client in others:
            client.send("REQ", "typing", {"kinds": [20_001]})
        new = await self.start_relay(settings(after))
        await self.until(lambda: "gives way" in old.output)
        newest = await self.connect(new)
        newest.send("REQ", "typing", {"kinds": [20_001]})
        heard = {False: 0, True: 0}
        author = Author("typing")
        for number in count():
            there = [client for client in others if client.closed.value is None]
            if all(heard.values()) or not there:
                break
            for is_new, client in ((True, newest), (False, there[-1])):
                client.send("EVENT", author.sign(f"{is_new} {number}", kind=20_001))
            await deferLater(reactor, 0.05)
            heard[False] += self.count_heard([newest], "False")
            heard[True] += self.count_heard(there, "True")
        self.assertTrue(all(heard.values()), (before, after, heard))
        await old.stop()
        await new.stop()

    async def test_counters(self) -> None:
        """What the old process has counted stays in the operator's metrics."""
        old = await self.start_relay(settings(more=WITH_PAGES))
        client = await self.connect(old)
        notes = [Author("counted").sign(f"{number}") for number in range(3)]
        await client.publish(notes)
        new = await self.start_relay(settings(more=WITH_PAGES))
        self.assertEqual(await old.end(), 0)
        _, _, port = new.node
        response = await treq.get(f"http://127.0.0.1:{port}/metrics", persistent=False)
        text = await response.text()
        self.assertIn('nostrtx_events_total{outcome="stored"} 3.0', text)

    def count_heard(self, clients: list[LiveClient], beginning: str) -> int:
        """How many of the events that have come begin so."""
        found = 0
        for client in clients:
            found += len(
                [
                    message
                    for message in client.messages
                    if message[0] == "EVENT"
                    and message[2]["content"].startswith(beginning)
                ]
            )
        return found

    async def test_only_for_its_user(self) -> None:
        """Nobody else can take the ports; and in the end the socket is gone."""
        relay = await self.start_relay(settings())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        last = await self.start_relay(settings())
        self.assertEqual(await relay.end(), 0)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(await last.stop(), -SIGTERM)
        self.assertFalse(self.path.exists())

    async def note_end(self, client: LiveClient, ends: list[float]) -> None:
        """Take note of when a connection ends."""
        await client.closed.wait(20)
        ends.append(reactor.seconds())

    def go_on(self, relay: RelayProcess) -> None:
        """Let a process run again that was stopped."""
        if not relay.has_ended:
            os.kill(relay.pid, SIGCONT)

    async def opened(self, address: tuple[str, int] | str) -> Talk:
        """A connection that says nothing by itself."""
        endpoint: Any = (
            UNIXClientEndpoint(reactor, address)
            if isinstance(address, str)
            else TCP4ClientEndpoint(reactor, *address)
        )
        talk: Talk = await endpoint.connect(Factory.forProtocol(Talk))
        return talk


class FailureTests(TakeoverTestCase):
    """What can go wrong."""

    async def check_goes_on(self, workers: int) -> None:
        """A relay goes on after one that would take over has failed."""
        relay = await self.start_relay(settings(workers))
        subscriber = SteadySubscriber(relay)
        await subscriber.start()
        await subscriber.ready
        (self.directory / "broken.toml").write_text(settings(workers))
        (self.directory / "file").write_text("")
        arguments = ["nostr-relay", "--config", "broken.toml", "--store"]
        code, output = await run_to_end(
            self.directory, [*arguments, "lmdb:file", "--listen", FREE_PORT]
        )
        self.assertEqual(code, 1)
        self.assertIn("file is a file", output)
        await self.until(lambda: "this one goes on" in relay.output)
        client = await self.connect(relay)
        answers = await client.publish([Author("a").sign(f"{workers}")])
        self.assertTrue(all(accepted for accepted, _ in answers.values()))
        await self.until(lambda: answers.keys() <= subscriber.seen)
        self.assertEqual(subscriber.closings, [])
        await subscriber.stop()
        last = await self.start_relay(settings(workers))
        self.assertEqual(await relay.end(), 0)
        self.assertEqual(last.url, relay.url)
        self.assertEqual(await last.stop(), -SIGTERM)

    async def test_next_cannot_serve(self) -> None:
        """
        If the next one ends before it serves, the old one goes on, and the one after
        that can take over.
        """
        for workers in (1, 2):
            await self.check_goes_on(workers)

    async def test_killed(self) -> None:
        """After a relay was killed the next one starts as if there had been none."""
        relay = await self.start_relay(settings())
        self.assertEqual(await relay.stop("KILL"), -SIGKILL)
        self.assertTrue(self.path.exists())
        await self.connect(await self.start_relay(settings()))

    async def check_stops(self, workers: int) -> None:
        """A relay that gives way stops when it is told to."""
        relay = await self.start_relay(settings(workers, drain_seconds=60.0))
        clients = [await self.connect(relay) for _ in range(10)]
        last = await self.start_relay(settings(workers))
        await self.until(lambda: "gives way" in relay.output)
        self.assertEqual(await relay.stop(), -SIGTERM)
        codes = [(await each.closed.wait(20)).code for each in clients]
        self.assertGreater(codes.count(1001), 5)
        await self.connect(last)
        self.assertEqual(await last.stop(), -SIGTERM)

    async def test_told_to_stop(self) -> None:
        """An operator need not wait until all clients are sent away."""
        for workers in (1, 2):
            await self.check_stops(workers)

    async def test_no_room(self) -> None:
        """A socket that cannot be made is named, and why."""
        code, output = await self.refused('[listen]\ntakeover = "no/where/at/all"\n')
        self.assertEqual(code, 1)
        self.assertIn("cannot make no/where/at/all: No such file or directory", output)

    async def refused(self, settings: str) -> tuple[int, str]:
        """Start a relay that cannot."""
        (self.directory / "refused.toml").write_text(settings)
        arguments = ["nostr-relay", "--config", "refused.toml", "--listen", FREE_PORT]
        return await run_to_end(self.directory, arguments)


class EndpointTests(TakeoverTestCase):
    """Every kind of endpoint is taken over."""

    def settings_of(self, workers: int) -> str:
        """A relay that listens on everything."""
        endpoints = (
            FREE_PORT,
            PROXIED,
            "unix:relay.sock",
            "ssl:0:privateKey=server.key:certKey=server.pem:interface=127.0.0.1",
        )
        listed = ", ".join(f"'{each}'" for each in endpoints)
        text = settings(workers, 0.2)
        return text.replace("[listen]", f"[listen]\nendpoints = [{listed}]") + (
            f"[admin]\nendpoints = ['{FREE_PORT}']\n"
        )

    async def start(self, workers: int) -> RelayProcess:
        """One of the relays."""
        (self.directory / "settings.toml").write_text(self.settings_of(workers))
        arguments = ["nostr-relay", "--config", "settings.toml", "--store"]
        spawning = RelayProcess.spawn(self.directory, [*arguments, "lmdb:store"])
        relay = self.ends(await spawning)
        await self.until(lambda: len(relay.addresses) == 3)
        return relay

    async def check(self, relay: RelayProcess) -> None:
        """All endpoints are served."""
        plain, proxied, secure = relay.addresses
        certificate = self.directory / "ca.pem"
        self.clients = [
            await self.connect(Place(f"ws://127.0.0.1:{plain[1]}/", plain)),
            await self.connect(
                Place(f"ws://127.0.0.1:{proxied[1]}/", proxied),
                before=b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n",
            ),
            await self.connect(
                Place(f"wss://127.0.0.1:{secure[1]}/", secure), certificate
            ),
        ]
        path = str(self.directory / "relay.sock")
        talk: Talk = await UNIXClientEndpoint(reactor, path).connect(
            Factory.forProtocol(Talk)
        )
        talk.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue((await talk.answer()).startswith(b"HTTP/1.1 200 "))
        found = re.search(r"Metrics and health are at (http://\S+)", relay.output)
        assert found is not None, relay.output
        response = await treq.get(found[1] + "readyz", persistent=False)
        self.assertEqual(response.code, 200)
        await response.content()

    async def test_all(self) -> None:
        """
        TCP, TLS, UNIX sockets, PROXY protocol and the operator's pages stay where
        they are, from one process to two workers and back.
        """
        write_certificates(self.directory)
        relay = await self.start(1)
        addresses = relay.addresses
        for workers in (1, 2, 2, 1):
            await self.check(relay)
            before, relay = relay, await self.start(workers)
            self.assertEqual(await before.end(), 0)
            self.assertEqual(relay.addresses, addresses)
            codes = [(await each.closed.wait(20)).code for each in self.clients]
            self.assertEqual(codes, [1012] * 3)
        await self.check(relay)
        self.assertEqual(await relay.stop(), -SIGTERM)
        left = {each.name for each in self.directory.iterdir()}
        self.assertEqual(left & {"relay.sock", "relay.sock.lock", _SOCKET}, set())

    async def test_new_endpoint(self) -> None:
        """The next one may listen elsewhere as well, and no more where it did."""
        relay = await self.start_relay(settings(), FREE_PORT)
        other = "tcp:0:interface=127.0.0.2"
        last = await self.start_relay(settings(), other)
        self.assertEqual(await relay.end(), 0)
        self.assertIn("//127.0.0.2:", last.url)
        await self.connect(last)


class RedisTests(TakeoverTestCase):
    """A node of a cluster."""

    async def test_same_name(self) -> None:
        """
        A node takes over from itself, though both are in the cluster for a while.
        """
        if REDIS_MISSING:
            raise SkipTest(REDIS_MISSING)
        redis = await RedisServer.start(self.directory / "redis")
        self.addCleanup(redis.stop)
        secret = self.directory / "secret"
        secret.write_text("ab" * 32)
        secret.chmod(0o600)
        node = f"node = 'node'\nredis = '{redis.url}'\nsecret_file = '{secret}'\n"
        text = settings().replace("[cluster]\n", f"[cluster]\n{node}")
        relay = await self.start_relay(text)
        client = await self.connect(relay)
        last = await self.start_relay(text)
        self.assertEqual(await relay.end(), 0)
        self.assertEqual((await client.closed.wait(20)).code, 1012)
        self.assertEqual(last.url, relay.url)
        await self.connect(last)


class SharedStoreTests(TakeoverTestCase):
    """A node whose events are in PostgreSQL."""

    async def start_one(self, workers: int) -> RelayProcess:
        """The next relay."""
        (self.directory / "settings.toml").write_text(settings(workers))
        arguments = ["nostr-relay", "--config", "settings.toml", "--listen", FREE_PORT]
        store = ["--store", self.postgres.url()]
        spawning = RelayProcess.spawn(self.directory, [*arguments, *store])
        return self.ends(await spawning)

    async def test_under_load(self) -> None:
        """All is as with a store in a directory."""
        self.postgres = PostgresServer.start()
        self.addCleanup(self.postgres.remove)
        # Relays end before it does.
        self.addCleanup(self.end_relays)
        await self.check_takeovers(1, 2, 1)

    async def end_relays(self) -> None:
        """End those that still run."""
        for relay in self._relays:
            await relay.stop()


class SocketActivationTests(TakeoverTestCase):
    """The simple way with systemd: it keeps the port while the relay is away."""

    async def start_with(self, listening: socket.socket) -> RelayProcess:
        """A relay that systemd has given a socket."""
        arguments = ["nostr-relay", "--listen", "systemd:domain=INET:index=0"]
        started = RelayProcess.activate(
            self.directory, [*arguments, "--store", "lmdb:store"], listening.fileno()
        )
        return self.ends(await started)

    async def test_restart(self) -> None:
        """Who connects between two relays waits for the second one."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = listening.getsockname()
            place = Place(f"ws://127.0.0.1:{address[1]}/", address)
            relay = await self.start_with(listening)
            await self.connect(place)
            self.assertEqual(await relay.stop(), -SIGTERM)
            waiting = Deferred.fromCoroutine(self.connect(place))
            await deferLater(reactor, 0.2)
            self.assertFalse(waiting.called)
            last = await self.start_with(listening)
            client = await waiting
            self.assertEqual(await client.query({"kinds": [1]}), [])
            self.assertEqual(last.address, address)
