"""Tests for what operators are given in deploy/: that it is as they will need it."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from nostrtx.settings.file import load_settings, parse_settings
from nostrtx.settings.tree import Settings
from nostrtx.tap import Options
from nostrtx.web.proxied import PROXIED_PREFIX
from tests.deployment import (
    COMPOSE,
    DEPLOY,
    ROOT,
    Dockerfile,
    compose,
    prepared,
    seconds,
    unit,
)

_SINGLE = DEPLOY / "systemd" / "nostr-relay.service"
_TEMPLATE = DEPLOY / "systemd" / "nostr-relay@.service"
_TURNS = DEPLOY / "systemd" / "nostr-relay-turn@.service"
_HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg", COMPOSE / "haproxy.cfg")
_NGINX = DEPLOY / "nginx" / "nostrtx.conf", DEPLOY / "nginx" / "nostrtx-stream.conf"


def run(*command: str) -> str:
    """What a command writes, which must succeed and must be there."""
    path = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise SkipTest(f"{command[0]} is not installed")
    done = subprocess.run(
        [path, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise AssertionError(done.stdout)
    return done.stdout


class SystemdTests(SynchronousTestCase):
    """Tests for the units in deploy/systemd."""

    def installed(self, path: Path) -> Path:
        """A copy of a unit in which the programs of this installation stand."""
        copy = Path(self.mktemp()).absolute()
        copy.mkdir(parents=True)
        programs = copy / "bin"
        programs.mkdir()
        (programs / "twistd").write_text("#!/bin/sh\n")
        (programs / "twistd").chmod(0o755)
        text = path.read_text().replace("/opt/nostrtx/bin", str(programs))
        text = text.replace("/opt/nostrtx/%i/bin", str(programs))
        (copy / path.name).write_text(text)
        return copy / path.name

    def test_verify(self) -> None:
        """Systemd finds no fault with them."""
        for path in (_SINGLE, _TEMPLATE, _TURNS):
            copy = self.installed(path)
            self.assertEqual(run("systemd-analyze", "verify", str(copy)), "")

    def test_hardened(self) -> None:
        """Systemd finds that a relay that was broken into could do little."""
        for path in (_SINGLE, _TEMPLATE, _TURNS):
            said = run("systemd-analyze", "security", "--offline=yes", str(path))
            level = re.search(r"exposure level for .*: ([0-9.]+) ", said)
            assert level is not None, said
            self.assertLess(float(level[1]), 2.0)

    def test_command(self) -> None:
        """The relay understands how it is started."""
        for path, file in (
            (_SINGLE, "relay.toml"),
            (_TEMPLATE, "%i.toml"),
            (_TURNS, "relay.toml"),
        ):
            (command,) = unit(path)["ExecStart"]
            _, arguments = command.split(" nostr-relay ")
            options = Options()
            options.parseOptions(arguments.split())
            self.assertEqual(options["config"], f"/etc/nostrtx/{file}")

    def test_time_to_stop(self) -> None:
        """A relay that stops in order is not killed while it does."""
        for path in (_SINGLE, _TEMPLATE, _TURNS):
            (limit,) = unit(path)["TimeoutStopSec"]
            self.assertGreaterEqual(int(limit), 10 + 2 * _timing().shutdown_seconds)

    def test_template(self) -> None:
        """The template differs in nothing but names, settings and directories."""
        single, template = unit(_SINGLE), unit(_TEMPLATE)
        differing = {name for name in single if single[name] != template[name]}
        self.assertEqual(single.keys(), template.keys())
        self.assertEqual(
            differing,
            {"Description", "ExecStart", "WorkingDirectory", "StateDirectory"},
        )

    def test_turns(self) -> None:
        """
        Two that take turns share settings and directories, and differ from a single
        one in nothing but where they are installed; one that has ended stays away.
        """
        single, turns = unit(_SINGLE), unit(_TURNS)
        differing = {name for name in single if single[name] != turns[name]}
        self.assertEqual(single.keys(), turns.keys())
        self.assertEqual(differing, {"Description", "ExecStart"})
        self.assertEqual(turns["Restart"], ["on-failure"])
        header = _TURNS.read_text().partition("[Unit]")[0]
        lines = re.findall(r"(?m)^#   (\[listen\]|takeover = .*)$", header)
        settings = parse_settings("\n".join(lines))
        (state,) = turns["StateDirectory"]
        directory = f"/var/lib/{state}/"
        self.assertTrue(settings.listen.takeover.startswith(directory))

    def test_user(self) -> None:
        """The user that the units name can be made."""
        root = Path(self.mktemp()).absolute()
        (root / "etc").mkdir(parents=True)
        file = DEPLOY / "systemd" / "nostrtx.sysusers.conf"
        run("systemd-sysusers", f"--root={root}", str(file))
        user = (root / "etc" / "passwd").read_text()
        self.assertTrue(user.startswith(unit(_SINGLE)["User"][0] + ":"))
        self.assertIn(":/var/lib/nostrtx:", user)


class ProxyTests(SynchronousTestCase):
    """Tests for the configurations of HAProxy and nginx; tests.live runs them."""

    def test_haproxy(self) -> None:
        """HAProxy finds no fault with them."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        certificate = prepared(directory) / "secrets" / "relay.pem"
        for path in _HAPROXY:
            text = path.read_text()
            for place in ("/etc/haproxy/relay.pem", "/run/secrets/relay.pem"):
                text = text.replace(place, str(certificate))
            (directory / "haproxy.cfg").write_text(text)
            said = run("haproxy", "-c", "-f", str(directory / "haproxy.cfg"))
            self.assertNotIn("WARNING", said)

    def test_haproxy_alike(self) -> None:
        """Those for containers and for machines treat clients alike."""
        alike = re.compile(
            r"(?m)^    (?:option|timeout|stick-table|tcp-request|http-check|balance"
            r"|http-request|retries|ssl-default|hard-stop) .*"
        )
        machines, containers = (alike.findall(path.read_text()) for path in _HAPROXY)
        self.assertEqual(machines, containers)
        self.assertGreater(len(machines), 20)

    def test_readiness(self) -> None:
        """HAProxy asks nodes whether they are ready, where their settings say it."""
        guide = (ROOT / "docs" / "cluster.md").read_text()
        (block,) = re.findall(r"(?s)```toml\n(.*?)```", guide)
        template = (COMPOSE / "relay.toml.in").read_text()
        told = template.replace("@HOST@", "relay.example.com")
        for path, text in zip(_HAPROXY, (block, told), strict=True):
            (endpoint, *_) = parse_settings(text).admin.endpoints
            (port,) = re.findall(r"default-server check port (\d+) ", path.read_text())
            self.assertEqual(endpoint.split(":")[:2], ["tcp", port])
            self.assertIn(" uri /readyz?unready=404 ", path.read_text())

    def test_idle_connections(self) -> None:
        """A silent client is pinged twice before a proxy takes it for gone."""
        least = 2 * _timing().ping_seconds
        limits = [
            limit
            for path in (*_HAPROXY, *_NGINX)
            for limit in re.findall(
                r"(?m)^ *(?:timeout tunnel|proxy_read_timeout|proxy_timeout) (\w+);?$",
                path.read_text(),
            )
        ]
        self.assertEqual(len(limits), 4)
        for limit in limits:
            self.assertGreater(seconds(limit), least)

    def test_limits(self) -> None:
        """Proxies let an address have as many connections as the relay does."""
        for path in (*_HAPROXY, *_NGINX):
            numbers = re.findall(
                r"sc0_conn_cur gt (\d+)|limit_conn nostrtx_clients (\d+);",
                path.read_text(),
            )
            self.assertEqual(
                ["".join(each) for each in numbers],
                [str(Settings().limits.max_connections_per_address)],
            )


class ComposeTests(SynchronousTestCase):
    """Tests for deploy/compose."""

    def setUp(self) -> None:
        """Prepare a copy of it."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.directory = prepared(directory)
        self.file = compose()
        self.services: dict[str, Any] = self.file["services"]
        self.nodes = {
            name: each for name, each in self.services.items() if "build" in each
        }

    def settings(self) -> Settings:
        """The settings of all nodes."""
        return load_settings(str(self.directory / "secrets" / "relay.toml"))

    def test_files(self) -> None:
        """Every file that is mounted is there once everything is prepared."""
        for secret in self.file["secrets"].values():
            self.assertTrue((self.directory / secret["file"]).is_file(), secret)
        for service in self.services.values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((self.directory / source).is_file(), source)
                else:
                    self.assertIn(source, self.file["volumes"])

    def test_names(self) -> None:
        """Services name no secret, network or other service that there is not."""
        for service in self.services.values():
            for secret in service.get("secrets", []):
                self.assertIn(secret, self.file["secrets"])
            for network in service["networks"]:
                self.assertIn(network, self.file["networks"])
            for other in service.get("depends_on", []):
                self.assertIn(other, self.services)

    def test_nodes(self) -> None:
        """Three nodes, each with a name of its own, and HAProxy knows them all."""
        names = [node["hostname"] for node in self.nodes.values()]
        self.assertEqual(names, ["node1", "node2", "node3"])
        self.assertEqual(list(self.nodes), names)
        (proxied,) = self.settings().listen.endpoints
        port = proxied.removeprefix(f"{PROXIED_PREFIX}tcp:")
        servers = re.findall(
            r"(?m)^    server (\S+) (\S+)$", (COMPOSE / "haproxy.cfg").read_text()
        )
        self.assertEqual(servers, [(name, f"{name}:{port}") for name in names])

    def test_settings(self) -> None:
        """The settings can be used; what they name is there in the containers."""
        settings = self.settings()
        for node in self.nodes.values():
            mounted = [f"/run/secrets/{secret}" for secret in node["secrets"]]
            self.assertIn(settings.relay.key_file, mounted)
            self.assertIn(settings.cluster.secret_file, mounted)
            self.assertIn(Dockerfile.read().command("CMD")[-1], mounted)
        self.assertEqual(settings.relay.url, "wss://relay.example.com")
        password = (self.directory / "secrets" / "postgres.password").read_text()
        postgres = self.services["postgres"]["environment"]
        self.assertEqual(
            settings.store.url,
            f"postgresql://{postgres['POSTGRES_USER']}:{password}@postgres/"
            f"{postgres['POSTGRES_DB']}",
        )
        self.assertIn("@redis:6379/0", settings.cluster.redis)

    def test_time_to_stop(self) -> None:
        """A node that stops in order is not killed while it does."""
        for node in self.nodes.values():
            self.assertGreaterEqual(
                seconds(node["stop_grace_period"]),
                10 + 2 * self.settings().timing.shutdown_seconds,
            )

    def test_secrets(self) -> None:
        """Secrets are long, differ, and are open to nobody else on the machine."""
        secrets = self.directory / "secrets"
        self.assertEqual(stat.S_IMODE(secrets.stat().st_mode), 0o700)
        texts = [
            (secrets / name).read_text()
            for name in (
                "relay.key",
                "cluster.secret",
                "postgres.password",
                "redis.password",
            )
        ]
        for text in texts:
            self.assertRegex(text, r"\A[0-9a-f]{64}\Z")
        self.assertEqual(len(set(texts)), 4)
        self.assertNotIn(texts[3], (secrets / "redis.acl").read_text())
        for name in ("relay.key", "relay.toml", "cluster.secret"):
            self.assertEqual(stat.S_IMODE((secrets / name).stat().st_mode), 0o400)

    def test_prepare_again(self) -> None:
        """Preparing once more changes nothing."""
        files = [*(self.directory / "secrets").iterdir(), self.directory / ".env"]
        before = {path: path.read_bytes() for path in files}
        prepared(self.directory.parent, "other.example.com")
        self.assertEqual({path: path.read_bytes() for path in files}, before)

    def test_not_root(self) -> None:
        """Nodes do not run as root."""
        line = (self.directory / ".env").read_text().strip()
        name, _, user = line.partition("=")
        self.assertNotEqual(user, "0")
        for node in self.nodes.values():
            self.assertTrue(node["user"].startswith(f"${{{name}:?"))
        self.assertEqual(Dockerfile.read().all("USER"), ["10001"])


class DockerfileTests(SynchronousTestCase):
    """Tests for deploy/compose/Dockerfile."""

    def setUp(self) -> None:
        """Read it."""
        self.dockerfile = Dockerfile.read()
        text = (ROOT / "pyproject.toml").read_text()
        self.project: dict[str, Any] = tomllib.loads(text)["project"]

    def test_sources(self) -> None:
        """What is copied into the image is there, and not left out of the context."""
        kept = {
            line.removeprefix("!")
            for line in (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
            if line.startswith("!")
        }
        copied = [
            source
            for instruction in self.dockerfile.all("COPY")
            if not instruction.startswith("--from")
            for source in instruction.split()[:-1]
        ]
        self.assertEqual(set(copied), kept)
        for source in copied:
            self.assertTrue((ROOT / source).exists(), source)

    def test_python(self) -> None:
        """The relay is made for the image's Python."""
        for image in self.dockerfile.all("FROM"):
            version = re.match(r"python:(\d+\.\d+)-slim", image)
            assert version is not None, image
            classifier = f"Programming Language :: Python :: {version[1]}"
            self.assertIn(classifier, self.project["classifiers"])

    def test_extras(self) -> None:
        """The extras that are installed exist."""
        (extras,) = re.findall(r"/src\[(.*?)\]", " ".join(self.dockerfile.all("RUN")))
        for extra in extras.split(","):
            self.assertIn(extra, self.project["optional-dependencies"])

    def test_command(self) -> None:
        """The relay understands how it is started."""
        command = self.dockerfile.command("ENTRYPOINT") + self.dockerfile.command("CMD")
        at = command.index("nostr-relay")
        self.assertEqual(command[:at], ["twistd", "--nodaemon", "--pidfile="])
        options = Options()
        options.parseOptions(command[at + 1 :])
        self.assertEqual(options["config"], "/run/secrets/relay.toml")

    def test_health(self) -> None:
        """The health check asks where the settings of compose.yaml listen for it."""
        script = self.dockerfile.command("HEALTHCHECK")[-1]
        compile(script, "HEALTHCHECK", "exec")
        template = (COMPOSE / "relay.toml.in").read_text()
        settings = parse_settings(template.replace("@HOST@", "relay.example.com"))
        self.assertEqual(settings.admin.endpoints, ("tcp:7448",))
        self.assertIn("http://127.0.0.1:7448/readyz", script)


def _timing() -> Any:
    return Settings().timing
