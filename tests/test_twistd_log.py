"""Tests for :mod:`nostrtx.twistd_log`."""

from __future__ import annotations

import json
import signal
import sys
import syslog
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IService, MultiService, Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import FileLogObserver, ILogObserver, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.twistd_log import (
    LoggingService,
    SyslogObserver,
    file_of,
    json_observer,
    observer_for,
)


class FileTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.twistd_log.file_of`."""

    def setUp(self) -> None:
        """Let no signal be taken that was not before."""
        before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        self.calls: list[Any] = []
        reactor: Any = MemoryReactorClock()
        reactor.callFromThread = self.calls.append
        self.reactor = reactor

    def test_terminal(self) -> None:
        """Who starts it by hand reads the log where it was started."""
        for options in (
            {},
            {"nodaemon": 1, "logfile": None},
            {"nodaemon": 1, "logfile": "-"},
        ):
            self.assertIs(file_of(options, self.reactor), sys.stdout)

    def test_daemon_on_terminal(self) -> None:
        """A daemon has no terminal, and says so instead of saying nothing for good."""
        options = {"nodaemon": 0, "logfile": "-"}
        self.assertRaises(SystemExit, file_of, options, self.reactor)

    def test_file(self) -> None:
        """A file that is named is written, each event on a line."""
        name = self.mktemp()
        file = file_of({"nodaemon": 1, "logfile": name}, self.reactor)
        self.addCleanup(file.close)
        log = Logger("here", observer=json_observer(file))
        log.info("Grüße {n}", n=1)
        log.debug("more\nlines")
        lines = Path(name).read_text().splitlines()
        texts = [json.loads(line)["text"] for line in lines]
        self.assertEqual(texts, ["Grüße 1", "more\nlines"])

    def test_rotation(self) -> None:
        """SIGUSR1 begins a new file, as it does with twistd's own log."""
        name = self.mktemp()
        file = file_of({"nodaemon": 0, "logfile": name}, self.reactor)
        self.addCleanup(file.close)
        file.write("before\n")
        signal.raise_signal(signal.SIGUSR1)
        for call in self.calls:
            call()
        file.write("after\n")
        file.flush()
        self.assertEqual(Path(name).read_text(), "after\n")
        self.assertEqual(Path(f"{name}.1").read_text(), "before\n")


class SyslogTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.twistd_log.SyslogObserver`."""

    def setUp(self) -> None:
        """Keep what is sent."""
        self.sent: list[tuple[int, str]] = []
        self.observer = SyslogObserver(
            lambda priority, text: self.sent.append((priority, text))
        )

    def test_interface(self) -> None:
        """Twisted's log can be observed by it."""
        self.assertTrue(verifyObject(ILogObserver, self.observer))

    def test_lines(self) -> None:
        """Each event is one object, whatever it tells, and as urgent as its level."""
        log = Logger("here", observer=self.observer)
        log.info("one\ntwo")
        log.error("Grüße {n}", n=1)
        log.debug("")
        texts = [json.loads(text)["text"] for _, text in self.sent]
        self.assertEqual(texts, ["one\ntwo", "Grüße 1"])
        self.assertEqual(
            [priority for priority, _ in self.sent], [syslog.LOG_INFO, syslog.LOG_ERR]
        )

    def test_chosen(self) -> None:
        """It is what twistd's --syslog asks for; a file is what it asks for else."""
        reactor: Any = MemoryReactorClock()
        for options, kind in (
            ({"syslog": True, "prefix": "relay"}, SyslogObserver),
            ({"nodaemon": True}, FileLogObserver),
        ):
            self.assertIsInstance(observer_for(options, reactor), kind)


class LoggingServiceTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.twistd_log.LoggingService`."""

    def test_application(self) -> None:
        """Whoever runs it finds the observer in the application that it is to run."""
        observer = json_observer(StringIO())
        self.assertTrue(verifyObject(ILogObserver, observer))
        relay = Service()
        service = LoggingService(relay, observer)
        self.assertTrue(verifyObject(IService, service))
        application = Application("nostr-relay")
        service.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
        self.assertIs(relay.parent, service)
        IService(application).startService()
        self.assertTrue(relay.running)

    def test_other_parent(self) -> None:
        """As a part of another service it runs, and leaves the log alone."""
        parent = MultiService()
        LoggingService(Service(), json_observer(StringIO())).setServiceParent(parent)
        self.assertEqual(len(list(parent)), 1)
