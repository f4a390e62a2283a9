# -*- test-case-name: tests.test_tap -*-
"""
``twistd nostr-relay``: the command line, on top of the settings file.

Nothing is opened here: twistd forks after the service was made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from nostrtx import __version__
from nostrtx.reloading import Reloading
from nostrtx.service import SequentialService, make_service
from nostrtx.settings.edge import AdminSettings
from nostrtx.settings.file import ConfigError, load_settings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.stopping import HeedsOneSignal
from nostrtx.twistd_log import LoggingService, observer_for
from nostrtx.workers.supervisor import Supervisor

_log = Logger()

_EXAMPLES = r"""
Runs a Nostr relay. Without options it listens on ws://127.0.0.1:7447/ and keeps
events in the directory ./data.

On all interfaces:       twistd -n nostr-relay --listen tcp:7447
With IPv6 as well:       --listen 'tcp6:7447:interface=\:\:'
With TLS:                --listen 'ssl:443:privateKey=key.pem:certKey=cert.pem'
A socket for a proxy:    --listen unix:/run/nostrtx.sock
Events in memory only:   --store memory:
Metrics for Prometheus:  --admin tcp:7448:interface=127.0.0.1

All else is set in the file that --config names; nostrtx.example.toml shows
every setting with its default.

Options of twistd itself, such as --nodaemon (-n), --pidfile and --logfile, stand
before "nostr-relay", these behind it. Without -n it runs in the background and
logs to ./twistd.log.
"""


class Options(usage.Options):
    """The options of ``twistd nostr-relay``; each overrides the settings file."""

    synopsis = "[options]"
    # Twisted would wrap this, and the examples with it: see getUsage.
    longdesc = ""

    optParameters = [  # noqa: N815 - twisted.python.usage reads it
        ["config", "c", None, "Settings file (TOML); none is needed."],
        [
            "store",
            "s",
            None,
            "Where events are: lmdb:PATH, postgresql://... or memory:",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["admin"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Twisted endpoint to listen on, such as tcp:7447; may be repeated."""
        self["listen"].append(_no_url(endpoint))

    opt_l = opt_listen

    def opt_admin(self, endpoint: str) -> None:
        """Endpoint for metrics and health; without one there are none."""
        self["admin"].append(_no_url(endpoint))

    def getUsage(self, width: int | None = None) -> str:
        """The options, and then the examples as they are written."""
        return super().getUsage(width) + _EXAMPLES

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"nostrtx {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse the command line.

        Raises:
            SystemExit: It is wrong; the text is one line that says what is.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(
                f"nostr-relay: {error} (try: twistd nostr-relay --help)"
            ) from None

    def parseArgs(self, *args: str) -> None:
        """There is nothing but options."""
        if args:
            raise usage.UsageError(
                f"{args[0]!r} is no option; a settings file is named with --config"
            )

    def postOptions(self) -> None:
        """Keep the way to the file, for twistd may change the directory."""
        if self["config"]:
            self["config"] = os.path.abspath(self["config"])
        _check_writable(self.parent or {})

    @property
    def settings(self) -> Settings:
        """
        The settings file with this command line's options in place of its own.

        Raises:
            ConfigError: The file cannot be used.
        """
        settings = load_settings(self["config"])
        if self["listen"]:
            endpoints = tuple(self["listen"])
            listen = attrs.evolve(settings.listen, endpoints=endpoints)
            settings = attrs.evolve(settings, listen=listen)
        if self["admin"]:
            admin = AdminSettings(endpoints=tuple(self["admin"]))
            settings = attrs.evolve(settings, admin=admin)
        if self["store"] is not None:
            store = attrs.evolve(settings.store, url=self["store"])
            settings = attrs.evolve(settings, store=store)
        return settings


def _no_url(endpoint: str) -> str:
    """What was given for an endpoint, unless it is what comes to mind first."""
    kind = endpoint.partition(":")[0]
    if not kind[:1].isalpha() or kind in ("ws", "wss", "http", "https"):
        raise usage.UsageError(
            f"{endpoint!r} is no endpoint; write tcp:7447 for all interfaces, or"
            " tcp:7447:interface=127.0.0.1 for one"
        )
    return endpoint


def _check_writable(options: Mapping[str, Any]) -> None:
    """
    Whether twistd can write its files; what it says itself is a traceback.

    Args:
        options: Of twistd.

    Raises:
        UsageError: It cannot; the text says what to do.
    """
    files = {"--pidfile": options.get("pidfile")}
    if not (options.get("syslog") or options.get("logger")):
        log = None if options.get("nodaemon", True) else "twistd.log"
        files["--logfile"] = options.get("logfile") or log
    for option, name in files.items():
        if not name or name == "-":
            continue
        path = os.path.abspath(os.path.join(options.get("rundir") or "", name))
        directory = os.path.dirname(path)
        if not os.access(path if os.path.exists(path) else directory, os.W_OK):
            raise usage.UsageError(
                f"cannot write {os.path.basename(path)} in {directory}; start it in"
                f" another directory, or put {option}= before nostr-relay"
            )


def relay_service(load: Callable[[], Settings], reactor: Any) -> IService:
    """
    The relay, not yet started, which reads its settings again upon SIGHUP.

    Args:
        load: Reads the settings; may raise ConfigError.
        reactor: Twisted's.

    Raises:
        ConfigError: The settings cannot be used.
    """
    settings = LiveSettings(load())
    relay = process_service(settings, reactor)
    service = SequentialService()
    # First, for until then the signal ends the process.
    Reloading(settings, load, reactor).setServiceParent(service)
    HeedsOneSignal(reactor).setServiceParent(service)
    relay.setServiceParent(service)
    return service


def process_service(settings: LiveSettings, reactor: Any) -> IService:
    """
    What this process does: the relay itself, or supervising the workers that do it.

    Raises:
        ConfigError: The settings cannot be used.
    """
    cores = len(os.sched_getaffinity(0))
    workers = settings.now.cluster.workers or cores
    if workers == 1:
        return make_service(settings, reactor)
    if settings.now.store.url == "memory:":
        raise ConfigError("cluster.workers: a store in memory cannot be shared")
    return Supervisor(settings, reactor, workers, cores)


def with_log(
    relay: IService, settings: Settings, options: Mapping[str, Any], reactor: Any
) -> IService:
    """
    A relay that logs as its settings say.

    Args:
        relay: What logs.
        settings: ``log``.
        options: Of twistd, which say where to.
        reactor: Runs what a signal asks for.

    Raises:
        SystemExit: There is no such file, and cannot be one; the text says why.
    """
    if settings.log.format == "text":
        return relay
    try:
        return LoggingService(relay, observer_for(options, reactor))
    except OSError as error:
        raise SystemExit(f"nostr-relay: {error.filename}: {error.strerror}") from None


def makeService(options: Options) -> IService:
    """
    The relay that a command line describes, not yet started.

    Raises:
        SystemExit: The settings cannot be used; the text says which.
    """
    from twisted.internet import reactor

    path = options["config"]
    if path:
        _log.info("The settings are those of {path}.", path=path)
    else:
        _log.info("No settings file is named (--config).")
    try:
        settings = options.settings
        relay = relay_service(lambda: options.settings, reactor)
        return with_log(relay, settings, options.parent or {}, reactor)
    except ConfigError as error:
        raise SystemExit(f"nostr-relay: {error}") from None
