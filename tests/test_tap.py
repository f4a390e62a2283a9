"""Tests for :mod:`nostrtx.tap` and the plugin that names it."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

from twisted.application.service import IService, IServiceMaker
from twisted.logger import capturedLogs, formatEvent
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx import __version__
from nostrtx.settings.file import ConfigError
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.storing import ClusterSettings, StoreSettings
from nostrtx.settings.tree import Settings
from nostrtx.tap import Options, makeService, process_service
from nostrtx.workers.supervisor import Supervisor
from tests.live.reactor import reactor


class OptionsTests(SynchronousTestCase):
    """The command line on top of the settings file."""

    def setUp(self) -> None:
        """Write a settings file."""
        self.file = self.mktemp()
        Path(self.file).write_text(
            """
            [relay]
            name = "from the file"
            [listen]
            endpoints = ["tcp:1", "tcp:2"]
            trusted_proxies = ["10.0.0.1"]
            [store]
            url = "memory:"
            max_gigabytes = 3
            """,
            encoding="utf-8",
        )

    def settings(self, *arguments: str) -> Settings:
        """The settings that a command line makes."""
        options = Options()
        options.parseOptions(arguments)
        return options.settings

    def shown(self, argument: str) -> str:
        """What an option prints before it exits without complaint."""
        output = io.StringIO()
        with redirect_stdout(output):
            end = self.assertRaises(SystemExit, Options().parseOptions, [argument])
        self.assertEqual(end.code, 0)
        return output.getvalue()

    def test_nothing(self) -> None:
        """Without options there are the defaults."""
        self.assertEqual(self.settings(), Settings())

    def test_file(self) -> None:
        """The file's settings are used, the long way or the short."""
        for option in ("--config", "-c"):
            settings = self.settings(option, self.file)
            self.assertEqual(settings.relay.name, "from the file")
            self.assertEqual(settings.listen.endpoints, ("tcp:1", "tcp:2"))

    def test_options_override_the_file(self) -> None:
        """An option takes the place of what the file says, and of nothing else."""
        settings = self.settings(
            "-c", self.file, "--listen", "tcp:3", "-l", "tcp:4", "--store", "lmdb:x"
        )
        self.assertEqual(settings.listen.endpoints, ("tcp:3", "tcp:4"))
        self.assertEqual(settings.listen.trusted_proxies, ("10.0.0.1",))
        self.assertEqual(settings.store.url, "lmdb:x")
        self.assertEqual(settings.store.max_gigabytes, 3)
        self.assertEqual(settings.relay.name, "from the file")

    def test_options_do_not_linger(self) -> None:
        """One command line knows nothing of another."""
        self.settings("--listen", "tcp:3")
        self.assertEqual(
            self.settings("--listen", "tcp:4").listen.endpoints, ("tcp:4",)
        )

    def test_bad_file(self) -> None:
        """A file that cannot be used is named, with what is wrong in it."""
        path = Path(self.mktemp())
        path.write_text("[relai]", encoding="utf-8")
        for file in (str(path), "/nowhere/at/all.toml"):
            fault = self.assertRaises(ConfigError, self.settings, "-c", file)
            self.assertIn(file, str(fault))

    def test_wrong_option(self) -> None:
        """A wrong command line ends the process, with one line that helps."""
        for arguments in (["--nonsense"], ["--store"], ["surplus"], ["--listen"]):
            end = self.assertRaises(SystemExit, Options().parseOptions, arguments)
            self.assertIsInstance(end.code, str)
            text = str(end.code)
            self.assertTrue(text.startswith("nostr-relay: "), text)
            self.assertTrue(text.endswith("(try: twistd nostr-relay --help)"), text)
            self.assertNotIn("\n", text)

    def test_no_endpoint(self) -> None:
        """Who names a port, an address or a URL is told what an endpoint is."""
        for wrong in ("7447", "127.0.0.1:7447", "ws://relay.example.com", ""):
            for option in ("--listen", "--admin"):
                end = self.assertRaises(
                    SystemExit, Options().parseOptions, [option, wrong]
                )
                self.assertIn(f"{wrong!r} is no endpoint; write tcp:", str(end.code))
        for right in ("tcp6:7447", "haproxy:tcp:7447", "unix:/run/relay.sock"):
            self.assertEqual(self.settings("-l", right).listen.endpoints, (right,))

    def test_settings_file_without_option(self) -> None:
        """Who forgets ``--config`` is reminded of it."""
        end = self.assertRaises(SystemExit, Options().parseOptions, ["relay.toml"])
        self.assertIn("'relay.toml' is no option", str(end.code))
        self.assertIn("--config", str(end.code))

    def test_files_of_twistd(self) -> None:
        """Where twistd cannot write its files, these are named, with what to do."""
        here = os.path.abspath(self.mktemp())
        options = Options()
        options.parent = twistd = usage.Options()
        for stated, wrong in (
            (
                {"pidfile": "twistd.pid", "rundir": "/nowhere"},
                "twistd.pid in /nowhere;",
            ),
            ({"logfile": "/nowhere/x.log"}, "x.log in /nowhere;"),
            ({"nodaemon": 0, "rundir": "/nowhere"}, "twistd.log in /nowhere;"),
            ({"nodaemon": 0, "rundir": "/nowhere", "syslog": 1}, ""),
            ({"pidfile": here, "logfile": "-"}, ""),
            ({"pidfile": "", "logfile": here, "nodaemon": 0}, ""),
        ):
            twistd.clear()
            twistd.update({"nodaemon": 1, **stated})
            if not wrong:
                options.parseOptions([])
                continue
            end = self.assertRaises(SystemExit, options.parseOptions, [])
            self.assertIn(f"cannot write {wrong}", str(end.code))

    def test_help(self) -> None:
        """The help has every option, and examples that can be copied."""
        text = self.shown("--help")
        for option in ("--config", "--listen", "--store", "--version"):
            self.assertIn(option, text)
        for line in (
            "On all interfaces:       twistd -n nostr-relay --listen tcp:7447",
            r"With IPv6 as well:       --listen 'tcp6:7447:interface=\:\:'",
            "A socket for a proxy:    --listen unix:/run/nostrtx.sock",
            "Events in memory only:   --store memory:",
        ):
            self.assertIn(line, text.splitlines())

    def test_version(self) -> None:
        """The version shown is that of this package."""
        self.assertEqual(self.shown("--version"), f"nostrtx {__version__}\n")


class MakeServiceTests(SynchronousTestCase):
    """From the command line to the service."""

    def setUp(self) -> None:
        """A service takes over the turns of the reactor; give them back."""
        self.patch(reactor, "doIteration", reactor.doIteration)

    def make(self, *arguments: str) -> IService:
        """The service of a command line."""
        options = Options()
        options.parseOptions(arguments)
        return makeService(options)

    def test_service(self) -> None:
        """A good command line makes a service that does not run yet."""
        service = self.make("--store", "memory:")
        self.assertTrue(verifyObject(IService, service))
        self.assertFalse(service.running)

    def test_says_which_settings(self) -> None:
        """The log tells which file is in force, for none is looked for."""
        file = Path(self.mktemp())
        file.write_text("", encoding="utf-8")
        for arguments, told in (
            (["--config", str(file)], f"The settings are those of {file.absolute()}."),
            ([], "No settings file is named (--config)."),
        ):
            with capturedLogs() as logs:
                self.make("--store", "memory:", *arguments)
            self.assertIn(told, [formatEvent(event) for event in logs])

    def relay(self, workers: int, url: str = "lmdb:nowhere") -> IService:
        """The service of so many workers."""
        cluster = ClusterSettings(workers=workers)
        settings = Settings(cluster=cluster, store=StoreSettings(url=url))
        return process_service(LiveSettings(settings), reactor)

    def test_one_process(self) -> None:
        """One worker is a relay without a supervisor."""
        self.assertNotIsInstance(self.relay(1), Supervisor)

    def test_workers(self) -> None:
        """More than one have a supervisor, which has not started any."""
        service = self.relay(3)
        self.assertIsInstance(service, Supervisor)
        self.assertFalse(service.running)

    def test_one_per_core(self) -> None:
        """0 stands for one per core."""
        several = len(os.sched_getaffinity(0)) > 1
        self.assertEqual(isinstance(self.relay(0), Supervisor), several)

    def test_not_in_memory(self) -> None:
        """Workers cannot share a store in memory."""
        fault = self.assertRaises(ConfigError, self.relay, 2, "memory:")
        self.assertEqual(
            str(fault), "cluster.workers: a store in memory cannot be shared"
        )

    def test_bad_settings(self) -> None:
        """Settings that cannot be used end the process, with a text that says why."""
        for arguments in (
            ["--config", "/nowhere/at/all.toml"],
            ["--store", "nonsense"],
            ["--store", ""],
        ):
            end = self.assertRaises(SystemExit, self.make, *arguments)
            self.assertIsInstance(end.code, str)
            self.assertTrue(str(end.code).startswith("nostr-relay: "))
            self.assertNotIn("\n", str(end.code))


class PluginTests(SynchronousTestCase):
    """What ``twistd`` finds."""

    def test_found(self) -> None:
        """``twistd`` lists the relay, and runs it with these options."""
        (maker,) = (
            maker
            for maker in getPlugins(IServiceMaker)
            if maker.tapname == "nostr-relay"
        )
        self.assertTrue(verifyObject(IServiceMaker, maker))
        self.assertIs(maker.options, Options)
        self.assertIs(maker.makeService, makeService)
