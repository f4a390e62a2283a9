"""Tests for ``nostrtx check-config``."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from tests.certificates import write_chain
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
        path.write_text("77" * 32)
        path.chmod(0o644)
        result = self.check(text)
        self.assertEqual(result.exit_code, 0)
        self.assertIn(
            f"worth a look: relay.key_file: others can read {path}", result.stderr
        )
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

    def forbid(self, path: Path) -> None:
        """Let this not be written, whoever runs the tests."""
        access = os.access
        self.patch(
            os,
            "access",
            lambda asked, mode: Path(asked) != path and access(asked, mode),
        )

    def test_unreadable_store(self) -> None:
        """A store that whoever checks may not write is a fault, and so is its file."""
        store = self.directory / "store"
        text = f"store.url = 'lmdb:{store}'"
        self.forbid(self.directory)
        self.assertIn("store cannot be made", self.faults(text)[0])
        store.mkdir()
        self.assertEqual(self.check(text).exit_code, 0)
        (store / "data.mdb").write_text("")
        for path in (store / "data.mdb", store):
            self.forbid(path)
            (fault,) = self.faults(text)
            self.assertEqual(
                fault, f"store.url: {path} cannot be written by whoever runs this"
            )

    def test_other_files(self) -> None:
        """The key and the register of members must be readable, or can be made."""
        members = self.directory / "members"
        text = (
            f"[membership]\nenabled = true\nfile = '{{}}'\n[relay]\nkey_file = '{{}}'\n"
            f"[store]\nurl = 'lmdb:{self.directory}/store'"
        )
        # Both will be made where the store is made.
        beside = [f"{self.directory}/store/{name}" for name in ("a", "b")]
        self.assertEqual(self.check(text.format(*beside)).exit_code, 0)
        key, register = self.faults(text.format("no/a", "no/b"))
        self.assertEqual(
            key, "relay.key_file: no/b cannot be made: there is no directory no"
        )
        self.assertEqual(
            register, "membership.file: no/a cannot be made: there is no directory no"
        )
        members.write_text("")
        self.forbid(members)
        (fault,) = self.faults(text.format(members, beside[1]))
        self.assertIn("membership.file: ", fault)

    def test_all_at_once(self) -> None:
        """What policies and certificates lack is told together with the rest."""
        faults = self.faults(
            "[[programs]]\ncommand = './nowhere'\n[[plugins]]\nname = 'nobody'\n"
            "[lists.a]\nfiles = ['nowhere']\n"
            "[listen]\nendpoints = ['ssl:1:privateKey=a.pem', 'tcp:1', 'tcp:1']\n"
        )
        settings = [fault.partition(":")[0] for fault in faults]
        self.assertEqual(
            settings,
            [
                "listen.endpoints",
                "listen.endpoints",
                "lists.a.files",
                "programs[0].command",
                "plugins[0].name",
            ],
        )

    def test_file_and_all_else(self) -> None:
        """Faults of the file hide none elsewhere, and what follows from them is not."""
        faults = self.faults(
            "[relais]\n[trust]\nroots = ['x']\n[[rules]]\ntrust = 1\n"
            "[[programs]]\ncommand = './nowhere'\n[store]\nurl = 7\n"
        )
        settings = [fault.partition(":")[0] for fault in faults]
        self.assertEqual(
            settings, ["relais", "trust.roots", "store.url", "programs[0].command"]
        )

    def test_worth_a_look(self) -> None:
        """What does not keep the relay from serving is told, and is no fault."""
        write_chain(self.directory)
        key, certificate = (self.directory / n for n in ("privkey.pem", "cert.pem"))
        result = self.check(f"listen.endpoints = ['ssl:1:{key}:{certificate}']")
        self.assertEqual(result.exit_code, 0)
        self.assertIn(f"{self.path}: worth a look: listen.endpoints: ", result.stderr)
        self.assertTrue(result.stdout.endswith(f"{self.path}: OK\n"))
