"""Tests for docs/cluster.md: that what it tells operators to write down works."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.file import parse_settings
from nostrtx.settings.tree import Settings
from tests.deployment import COMPOSE, ROOT, unit

_GUIDE = ROOT / "docs" / "cluster.md"
_UNIT = ROOT / "deploy" / "systemd" / "nostr-relay.service"


class GuideTests(SynchronousTestCase):
    """What the guide to clusters shows is what the relay and its servers take."""

    def setUp(self) -> None:
        """Read it."""
        self.text = _GUIDE.read_text()

    def settings(self) -> Settings:
        """The settings that it shows whole."""
        (block,) = re.findall(r"(?s)```toml\n(.*?)```", self.text)
        return parse_settings(block)

    def test_settings(self) -> None:
        """The settings file that is shown whole can be used as it is."""
        settings = self.settings()
        self.assertEqual(settings.cluster.node, "node1")
        self.assertTrue(settings.store.url.startswith("postgresql://nostrtx:"))
        (installed,) = re.findall(r"install -m 400 .*", self.text)
        *files, directory = installed.split()[-3:]
        named = [settings.cluster.secret_file, settings.relay.key_file]
        self.assertEqual(named, [f"{directory}{file}" for file in files])

    def test_places(self) -> None:
        """Settings and service name the same files and ports."""
        (command,) = unit(_UNIT)["ExecStart"]
        file = command.split()[-1]
        self.assertIn(f"`{file}`, here whole", self.text)
        servers = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
        endpoint = self.settings().listen.endpoints[0]
        match = re.fullmatch(r"haproxy:tcp:(\d+):interface=(.*)", endpoint)
        assert match is not None, endpoint
        self.assertIn(f"server node1 {match[2]}:{match[1]}", servers)

    def test_redis_user(self) -> None:
        """Who follows the guide gives nodes the rights that the Compose file gives."""
        rights = re.compile(r"user nostrtx on \S+ (.*)")
        (told,) = rights.findall(self.text)
        self.assertEqual(rights.findall((COMPOSE / "prepare").read_text()), [told])
        channel = self.settings().cluster.channel
        self.assertTrue(told.startswith(f"~{channel}:* &{channel}:* "))

    def test_links(self) -> None:
        """What it links to is there."""
        links = re.findall(r"\]\(([^)#]+)\)", self.text)
        self.assertGreater(len(links), 5)
        for link in links:
            self.assertTrue((_GUIDE.parent / link).exists(), link)
