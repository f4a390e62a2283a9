"""Tests for :mod:`nostrtx.service`."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from secrets import token_bytes
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.admin_service import AdminService
from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.interfaces.store import StoreUnusable
from nostrtx.joining import BroadcasterService
from nostrtx.key_service import KeyService
from nostrtx.listener_service import ListenerService, RelayURLs
from nostrtx.relay.relay import Relay
from nostrtx.service import (
    AnnouncementService,
    RelayService,
    SequentialService,
    StoreService,
    make_service,
)
from nostrtx.settings.access import MembershipSettings
from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.file import ConfigError
from nostrtx.settings.identity import DiscoverySettings, RelaySettings
from nostrtx.settings.limits import IngestSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.takeover.takeover import no_takeover
from nostrtx.turns import ScheduledTurns
from nostrtx.web.websocket import RelayWebSocketFactory
from tests.certificates import write_certificates
from tests.relay.processes import ProcessReactor
from tests.web.fakes import nobody_else

_IN_MEMORY = Settings(
    store=StoreSettings(url="memory:"), ingest=IngestSettings(verifier_processes=0)
)


class SlowService(Service):
    """
    A service that has stopped when the test says.

    Args:
        history: Is told what happens.
    """

    def __init__(self, name: str, history: list[str]) -> None:
        self._history = history
        self._called = name
        self.stopped: Deferred[None] = Deferred()

    def startService(self) -> None:
        """Say so."""
        super().startService()
        self._history.append(f"{self._called} starts")

    def stopService(self) -> Deferred[None]:
        """Say so, and when it is done."""
        self.note_stop()
        return self.stopped

    def note_stop(self) -> None:
        """Do what every service does, and say so."""
        Service.stopService(self)
        self._history.append(f"{self._called} stops")


class QuickService(SlowService):
    """A service that stops at once."""

    def stopService(self) -> Any:
        """Say so."""
        self.note_stop()


class BrokenService(SlowService):
    """A service that fails to stop."""

    def stopService(self) -> Deferred[None]:
        """Fail."""
        self.note_stop()
        raise ZeroDivisionError


class SequentialServiceTests(SynchronousTestCase):
    """Children start in order, and stop in reverse, one after the other."""

    def setUp(self) -> None:
        """Three children, all started."""
        self.history: list[str] = []
        self.children = [SlowService(name, self.history) for name in "abc"]

    def start(self) -> SequentialService:
        """Start a service with the children."""
        service = SequentialService()
        for child in self.children:
            child.setServiceParent(service)
        service.startService()
        self.assertEqual(self.history, ["a starts", "b starts", "c starts"])
        self.history.clear()
        return service

    def test_each_waits_for_the_one_behind(self) -> None:
        """A child is told to stop once the one behind it has stopped."""
        service = self.start()
        stopped = service.stopService()
        self.assertFalse(service.running)
        self.assertEqual(self.history, ["c stops"])
        self.children[2].stopped.callback(None)
        self.assertEqual(self.history, ["c stops", "b stops"])
        self.children[1].stopped.callback(None)
        self.assertEqual(self.history, ["c stops", "b stops", "a stops"])
        self.assertNoResult(stopped)
        self.children[0].stopped.callback(None)
        self.assertIsNone(self.successResultOf(stopped))

    def test_child_that_stops_at_once(self) -> None:
        """A child with nothing to wait for is not waited for."""
        self.children[1:] = [QuickService(name, self.history) for name in "bc"]
        stopped = self.start().stopService()
        self.assertEqual(self.history, ["c stops", "b stops", "a stops"])
        self.assertNoResult(stopped)

    def test_child_that_raises(self) -> None:
        """A child that cannot stop is logged, and the others stop all the same."""
        self.children[2] = BrokenService("c", self.history)
        stopped = self.start().stopService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.history, ["c stops", "b stops"])
        self.children[1].stopped.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.children[0].stopped.callback(None)
        self.assertIsNone(self.successResultOf(stopped))


class UnusableStore(MemoryEventStore):
    """A store that cannot be opened."""

    def open(self) -> None:
        """Say why."""
        raise StoreUnusable("data is held by another process")


class SlowStore(MemoryEventStore):
    """A store that takes its time to close."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = False
        self.closed: Deferred[None] = Deferred()

    def open(self) -> None:
        """Take note."""
        self.opened = True

    def close(self) -> Deferred[None]:
        """Fires when the test says."""
        return self.closed


class StoreServiceTests(SynchronousTestCase):
    """The store is open while its service runs."""

    def test_open_and_close(self) -> None:
        """It is opened at the start, not before, and its end is waited for."""
        store = SlowStore()
        service = StoreService(store, "memory:", {})
        self.assertFalse(store.opened)
        service.startService()
        self.assertTrue(store.opened)
        stopped = service.stopService()
        self.assertNoResult(stopped)
        store.closed.callback(None)
        self.assertIsNone(self.successResultOf(stopped))

    def test_unusable(self) -> None:
        """A store that cannot be opened ends the process, with one line why."""
        service = StoreService(UnusableStore(), "lmdb:data", {})
        end = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(end.code, "nostr-relay: data is held by another process")


class RelayServiceTests(SynchronousTestCase):
    """Verifier processes run while the service does."""

    def processes(self, setting: int) -> int:
        """How many are started with a setting."""
        reactor = ProcessReactor()
        settings = attrs.evolve(
            _IN_MEMORY, ingest=IngestSettings(verifier_processes=setting)
        )
        live = LiveSettings(settings)
        relay = Relay(
            MemoryEventStore(),
            LocalBroadcaster(),
            ScheduledTurns(reactor),
            reactor,
            live,
            RelayURLs(live).all,
            token_bytes,
        )
        service = RelayService(relay, reactor, live)
        self.assertEqual(reactor.processes, [])
        service.startService()
        self.assertEqual(len(reactor.getReaders()), len(reactor.processes))
        self.successResultOf(relay.drain())
        self.successResultOf(service.stopService())
        self.assertEqual(reactor.getReaders(), [])
        for process in reactor.processes:
            process.socket.close()
        return len(reactor.processes)

    def test_stated(self) -> None:
        """As many are started as the settings say, and all are ended."""
        for setting in (0, 1, 3):
            self.assertEqual(self.processes(setting), setting)

    def test_by_cores(self) -> None:
        """-1 stands for one per core but one, and for one at least."""
        cores = len(os.sched_getaffinity(0))
        self.assertEqual(self.processes(-1), max(1, cores - 1))


def urls_of(relay: RelaySettings) -> RelayURLs:
    """The URLs that these settings make."""
    return RelayURLs(LiveSettings(Settings(relay=relay)))


class RelayURLsTests(SynchronousTestCase):
    """By what URLs clients know the relay."""

    def test_set(self) -> None:
        """If the operator names the URL, it is not another one."""
        urls = urls_of(
            RelaySettings(url="wss://r.example", other_urls=("ws://r.onion",))
        )
        urls.listening_on("ws://127.0.0.1:7447/")
        self.assertEqual(urls.all(), ["wss://r.example", "ws://r.onion"])

    def test_listening(self) -> None:
        """If not, it is where the relay listens, by address and by name."""
        urls = urls_of(RelaySettings(other_urls=("ws://r.onion",)))
        for url in ("ws://127.0.0.1:1/", "wss://[::1]:2/", "ws://10.0.0.1:3/"):
            urls.listening_on(url)
        self.assertEqual(
            urls.all(),
            [
                "ws://r.onion",
                "ws://127.0.0.1:1/",
                "ws://localhost:1/",
                "wss://[::1]:2/",
                "wss://localhost:2/",
                "ws://10.0.0.1:3/",
            ],
        )

    def test_changed(self) -> None:
        """If the operator names another URL while it runs, that one counts."""
        settings = LiveSettings(Settings())
        urls = RelayURLs(settings)
        urls.listening_on("ws://10.0.0.1:3/")
        settings.change(Settings(relay=RelaySettings(url="wss://r.example")))
        self.assertEqual(urls.all(), ["wss://r.example"])
        settings.change(Settings())
        self.assertEqual(urls.all(), ["ws://10.0.0.1:3/"])

    def test_socket(self) -> None:
        """A Unix socket has none: what is before it knows."""
        urls = urls_of(RelaySettings())
        urls.listening_on("UNIXAddress('/run/nostrtx.sock')")
        self.assertEqual(urls.all(), [])


@implementer(IListeningPort)
class ListeningPort:
    """
    A port that is open.

    Args:
        host: The address it was opened on; empty for all.
        number: Its number.
    """

    def __init__(self, host: str, number: int) -> None:
        self._address = IPv4Address("TCP", host or "0.0.0.0", number)

    def startListening(self) -> None:
        """It is open."""

    def stopListening(self) -> None:
        """It is closed at once."""

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return self._address


class ListeningReactor(MemoryReactorClock):
    """
    A reactor that can be told to refuse ports.

    Attributes:
        refuse: The port that cannot be listened on.
    """

    refuse = -1

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Listen, unless this port is refused."""
        if port == self.refuse:
            raise CannotListenError(interface, port, OSError(98, "in use"))
        super().listenTCP(port, factory, backlog, interface)
        return ListeningPort(interface, port)


class ListeningTestCase(SynchronousTestCase):
    """Services on a reactor in memory."""

    def setUp(self) -> None:
        """Starting tunes the garbage collector; undo that afterwards."""
        self.reactor = ListeningReactor()
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def settings(self, *endpoints: str) -> Settings:
        """Settings with these endpoints."""
        return attrs.evolve(_IN_MEMORY, listen=ListenSettings(endpoints=endpoints))


class ListenerServiceTests(ListeningTestCase):
    """Ports."""

    def service(self, *endpoints: str, url: str = "") -> ListenerService:
        """A listener for these endpoints."""
        relay_settings = RelaySettings(url=url)
        settings = LiveSettings(
            attrs.evolve(self.settings(*endpoints), relay=relay_settings)
        )
        turns = ScheduledTurns(self.reactor)
        urls = RelayURLs(settings)
        relay = Relay(
            MemoryEventStore(),
            LocalBroadcaster(),
            turns,
            self.reactor,
            settings,
            urls.all,
            token_bytes,
        )
        others = nobody_else(self.reactor)
        websockets = RelayWebSocketFactory(
            relay, settings, turns, self.reactor, others, token_bytes
        )
        facts = relay.statistics.facts
        return ListenerService(
            relay,
            websockets,
            self.reactor,
            settings,
            urls,
            facts,
            (),
            AdminService(settings, self.reactor, MemoryEventStore(), facts, dict, dict),
            no_takeover(),
        )

    def trouble(self, *endpoints: str) -> str:
        """The text with which starting a listener ends the process."""
        service = self.service(*endpoints)
        end = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertIsInstance(end.code, str)
        text = str(end.code)
        self.assertNotIn("\n", text)
        return text

    def test_listens(self) -> None:
        """Every endpoint is listened on, while there still are privileges."""
        service = self.service("tcp:80", "tcp:7447:interface=127.0.0.1")
        self.assertEqual(self.reactor.tcpServers, [])
        service.privilegedStartService()
        self.assertEqual(
            [(port, interface) for port, _, _, interface in self.reactor.tcpServers],
            [(80, ""), (7447, "127.0.0.1")],
        )

    def test_tls(self) -> None:
        """With TLS its URL says so, and a renewed certificate is looked for."""
        directory = Path(self.mktemp())
        write_certificates(directory)
        files = f"privateKey={directory}/server.key:certKey={directory}/server.pem"
        service = self.service(f"ssl:443:{files}:interface=127.0.0.1")
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        write_certificates(directory)
        with capturedLogs() as logs:
            self.reactor.advance(60)
            service.renew_certificates()
        said = [formatEvent(log) for log in logs]
        self.assertEqual(
            [line.partition(";")[0] for line in said if "certificate" in line],
            ["The certificate of ssl:443 has been renewed"],
        )

    def test_port(self) -> None:
        """A port in these tests is what reactors promise."""
        self.assertTrue(verifyObject(IListeningPort, ListeningPort("", 80)))

    def test_gives_way(self) -> None:
        """Without clients a listener has given way at once."""
        service = self.service("tcp:80")
        service.privilegedStartService()
        service.startService()
        self.successResultOf(service.give_way())
        self.successResultOf(service.stopService())

    def test_gives_way_late(self) -> None:
        """Who has just connected may still say what for, within the usual time."""
        service = self.service("tcp:80")
        service.privilegedStartService()
        service.startService()
        (_, site, _, _) = self.reactor.tcpServers[0]
        connection: Any = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
        transport = StringTransport()
        connection.makeConnection(transport)
        gone = service.give_way()
        self.reactor.advance(5)
        self.assertNoResult(gone)
        self.reactor.pump([0.1] * 60)
        self.successResultOf(gone)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 "))

    def test_stopped_while_it_gives_way(self) -> None:
        """Whoever waits for it to give way learns that it was stopped before."""
        service = self.service("tcp:80")
        service.privilegedStartService()
        service.startService()
        (_, site, _, _) = self.reactor.tcpServers[0]
        connection: Any = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
        connection.makeConnection(StringTransport())
        gone = service.give_way()
        stopped = service.stopService()
        self.failureResultOf(gone, CancelledError)
        self.successResultOf(stopped)

    def test_no_url(self) -> None:
        """Who serves other machines is told that a URL must be set for them."""
        for endpoint, url, expected in (
            ("tcp:80", "", 1),
            ("tcp:80", "wss://relay.example.com", 0),
            ("tcp:80:interface=127.0.0.1", "", 0),
        ):
            with capturedLogs() as logs:
                service = self.service(endpoint, url=url)
                service.privilegedStartService()
                service.startService()
            warnings = [
                log for log in logs if "relay.url" in (log.get("log_format") or "")
            ]
            self.assertEqual(len(warnings), expected, (endpoint, url))

    def test_no_endpoint(self) -> None:
        """Whatever is wrong with a description, one line says which and why."""
        for description in (
            "",
            "7447",
            "tcp",
            "tcp:many",
            "tcp6:7447:interface=::",
            "unix",
            "ssl:443:privateKey=/nowhere/at/all.pem",
            "systemd:domain=INET:index=99",
        ):
            self.assertTrue(
                self.trouble(description).startswith(
                    f"nostr-relay: {description!r} is no endpoint: "
                )
            )

    def test_cannot_listen(self) -> None:
        """A port that cannot be had ends the process, with one line why."""
        self.reactor.refuse = 80
        self.assertTrue(
            self.trouble("tcp:7447", "tcp:80").startswith(
                "nostr-relay: cannot listen on 'tcp:80': Couldn't listen on any:80"
            )
        )

    def test_cannot_listen_later(self) -> None:
        """If that shows only when the reactor runs, the reactor is stopped."""
        self.reactor.refuse = 80
        self.reactor.running = True
        self.trouble("tcp:80")
        self.assertTrue(self.reactor.hasStopped)

    def test_stop_without_clients(self) -> None:
        """Without clients it stops at once."""
        service = self.service("tcp:7447")
        service.privilegedStartService()
        service.startService()
        self.assertIsNone(self.successResultOf(service.stopService()))


class MakeServiceTests(ListeningTestCase):
    """The whole relay."""

    def test_nothing_is_opened(self) -> None:
        """Making it opens no port and no store: twistd forks afterwards."""
        directory = self.mktemp()
        settings = attrs.evolve(
            self.settings("tcp:7447"), store=StoreSettings(url=f"lmdb:{directory}")
        )
        service = make_service(LiveSettings(settings), self.reactor)
        self.assertFalse(service.running)
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertFalse(os.path.exists(directory))

    def test_starts_and_stops(self) -> None:
        """It starts with the settings it is given, and stops without a trace."""
        service = make_service(LiveSettings(self.settings("tcp:7447")), self.reactor)
        service.privilegedStartService()
        service.startService()
        self.assertEqual(len(self.reactor.tcpServers), 1)
        self.reactor.advance(20)
        self.assertTrue(service.running)
        stopped = service.stopService()
        assert isinstance(stopped, Deferred)
        self.assertIsNone(self.successResultOf(stopped))

    def test_announced(self) -> None:
        """A relay that is to announce itself does so while it runs."""
        settings = attrs.evolve(
            self.settings("tcp:7447"),
            relay=RelaySettings(url="wss://relay.example.com"),
            discovery=DiscoverySettings(announce=True),
        )
        service: Any = make_service(LiveSettings(settings), self.reactor)
        service.privilegedStartService()
        service.startService()
        announcing = list(service)[-1]
        self.assertIsInstance(announcing, AnnouncementService)
        self.assertTrue(announcing.running)
        self.successResultOf(service.stopService())
        self.assertFalse(announcing.running)

    def test_announced_nowhere(self) -> None:
        """Without its URL a relay cannot be announced, and the settings are wrong."""
        settings = Settings(discovery=DiscoverySettings(announce=True))
        fault = self.assertRaises(
            ConfigError, make_service, LiveSettings(settings), self.reactor
        )
        self.assertTrue(str(fault).startswith("relay.url: needed"))

    def test_key_before_the_others(self) -> None:
        """The key is read after the store was opened and before others are joined."""
        path = self.mktemp()
        settings = attrs.evolve(
            self.settings("tcp:7447"),
            store=StoreSettings(url=f"lmdb:{path}"),
            membership=MembershipSettings(enabled=True),
        )
        service: Any = make_service(LiveSettings(settings), self.reactor)
        kinds = [type(child) for child in service]
        self.assertEqual(kinds[1:4], [StoreService, KeyService, BroadcasterService])
        self.assertFalse(os.path.exists(path))

    def test_unknown_store(self) -> None:
        """A store's URL that names none is a fault of the settings."""
        settings = Settings(store=StoreSettings(url="sqlite:x"))
        fault = self.assertRaises(
            ConfigError, make_service, LiveSettings(settings), self.reactor
        )
        self.assertTrue(str(fault).startswith("store.url: there is no such store"))
