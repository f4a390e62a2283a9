"""Tests for ``nostrtx check-config``."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from tests.live.relay_process import ROOT


class CheckConfigTests(SynchronousTestCase):
    """What an operator is told of a settings file."""

    def setUp(self) -> None:
        """A directory."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "relay.toml"

    def check(self, text: str) -> Result:
        """Run the command on a file with this text; nothing may come to be."""
        self.path.write_text(text)
        before = sorted(self.directory.iterdir())
        result = CliRunner().invoke(main, ["check-config", str(self.path)])
        self.assertEqual(sorted(self.directory.iterdir()), before)
        self.assertNotIn("hush", result.output)
        return result

    def faults(self, text: str) -> list[str]:
        """The faults of a text, without the name of the file."""
        result = self.check(text)
        self.assertEqual(result.exit_code, 1, result.output)
        lines = result.output.removeprefix("Error: ").splitlines()
        for line in lines:
            self.assertTrue(line.startswith(f"{self.path}: "), line)
        return [line.removeprefix(f"{self.path}: ") for line in lines]

    def test_example(self) -> None:
        """The example is good, and says nothing but the defaults."""
        example = str(ROOT / "nostrtx.example.toml")
        result = CliRunner().invoke(main, ["check-config", example])
        self.assertEqual((result.exit_code, result.output), (0, f"{example}: OK\n"))

    def test_no_file(self) -> None:
        """Without a file the defaults are looked at; a missing one is a fault."""
        self.assertEqual(CliRunner().invoke(main, ["check-config"]).exit_code, 0)
        nowhere = str(self.directory / "nowhere")
        result = CliRunner().invoke(main, ["check-config", nowhere])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("No such file", result.output)

    def test_deviations(self) -> None:
        """What is not the default is listed, a password only as being there."""
        result = self.check(
            "[limits]\nmax_limit = 7\n[relay]\nname = '[bold]'\n"
            "[store]\nurl = 'postgresql://relay:hush@h/d'"
        )
        self.assertEqual(result.exit_code, 0, result.output)
        lines = [line.split() for line in result.output.splitlines()]
        self.assertEqual(
            lines,
            [
                ["Setting", "Value", "Default"],
                ["relay.name", '"[bold]"', '"nostrtx"'],
                ["store.url", "(not", "shown)"],
                ["limits.max_limit", "7", "5000"],
                [f"{self.path}:", "OK"],
            ],
        )

    def test_long_values(self) -> None:
        """A long value is shown to its end, in one line where a program reads it."""
        url = "wss://relay.example.com/" + "long/" * 30
        result = self.check(f"[relay]\nurl = '{url}'")
        self.assertIn(f'relay.url  "{url}"', result.output)

    def test_file_faults(self) -> None:
        """All that is wrong with single settings is told."""
        faults = self.faults("[limits]\nmax_limit = 0\n[relais]\n[store]\nurl = 7")
        self.assertEqual(len(faults), 3)

    def test_other_faults(self) -> None:
        """All that would end a start is told, in one go."""
        plain = self.directory / "plain"
        plain.write_text("")
        faults = self.faults(
            f"[store]\nurl = 'lmdb:{plain}'\n[discovery]\nannounce = true\n"
            "[listen]\nendpoints = ['tpc:1', 'haproxy:tcp:x', 'tcp:7447']\n"
            "[admin]\nendpoints = ['unix']\n"
            "[cluster]\nredis = 'redis://:hush@h'"
        )
        for fault, words in zip(
            faults,
            (
                "relay.url: needed for discovery.announce",
                f"store.url: {plain} is no directory",
                "cluster.redis needs a secret",
                'listen.endpoints: "tpc:1" is no endpoint',
                'listen.endpoints: "haproxy:tcp:x" is no endpoint',
                'admin.endpoints: "unix" is no endpoint',
            ),
            strict=True,
        ):
            self.assertIn(words, fault)

    def test_stores(self) -> None:
        """A store that is none is named, and workers on one in memory."""
        self.assertIn("there is no such store", self.faults("store.url = 'x:hush'")[0])
        (fault,) = self.faults("store.url = 'memory:'\ncluster.workers = 2")
        self.assertIn("cannot be shared", fault)

    def test_key(self) -> None:
        """A key that is none is a fault; one that is missing will be made."""
        path = self.directory / "relay.key"
        text = (
            f"[membership]\nenabled = true\n[relay]\nkey_file = '{path}'\n"
            f"[store]\nurl = 'lmdb:{self.directory}/store'"
        )
        self.assertEqual(self.check(text).exit_code, 0)
        path.write_text("no key")
        path.chmod(0o600)
        (fault,) = self.faults(text)
        self.assertTrue(fault.startswith("relay.key_file: the relay's key in"), fault)

    def test_from_systemd(self) -> None:
        """What systemd hands over is known only when it does."""
        text = "listen.endpoints = ['systemd:domain=INET:index=0']"
        self.assertEqual(self.check(text).exit_code, 0)

    def test_secret_elsewhere(self) -> None:
        """A secret that is kept elsewhere must be there."""
        text = f"store.url = {{ file = '{self.directory}/url' }}"
        self.assertIn("No such file", self.faults(text)[0])
        (self.directory / "url").write_text("lmdb:hush\n")
        self.assertEqual(self.check(text).exit_code, 0)

    def test_unreadable_store(self) -> None:
        """A store that whoever checks may not write is a fault."""
        store = self.directory / "store"
        store.mkdir()
        self.patch(os, "access", lambda path, mode: False)
        (fault,) = self.faults(f"store.url = 'lmdb:{store}'")
        self.assertIn("cannot be written", fault)
