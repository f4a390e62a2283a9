"""Tests for :mod:`nostrtx.settings.secrets`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.settings.tree import Settings

_URL = "postgresql://relay:hush@db.example/relay"


class SecretsTests(SynchronousTestCase):
    """Settings that are kept outside the settings file."""

    def setUp(self) -> None:
        """A directory for credentials, which the environment names."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.environment = {"CREDENTIALS_DIRECTORY": str(self.directory)}

    def write(self, content: bytes, name: str = "url") -> str:
        """A file with this content; its path."""
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def parse(self, text: str) -> Settings:
        """The settings in a text."""
        return parse_settings(text, self.environment)

    def fault(self, text: str) -> str:
        """What is wrong with a text; no secret of these tests is in it."""
        fault = str(self.assertRaises(ConfigError, self.parse, text))
        self.assertNotIn("hush", fault)
        return fault

    def test_file(self) -> None:
        """A secret is what is in the file, without the end of the line."""
        for content in (f"{_URL}\n", f"{_URL}\r\n", _URL):
            path = self.write(content.encode())
            settings = self.parse(f"store.url = {{ file = '{path}' }}")
            self.assertEqual(settings.store.url, _URL)

    def test_credentials(self) -> None:
        """A path may name variables, such as the one for systemd's credentials."""
        self.write(_URL.encode())
        text = "store.url = { file = '$CREDENTIALS_DIRECTORY/url' }"
        self.assertEqual(self.parse(text).store.url, _URL)
        del self.environment["CREDENTIALS_DIRECTORY"]
        self.assertEqual(
            self.fault(text),
            "store.url: there is no CREDENTIALS_DIRECTORY in the environment",
        )
        self.assertIn("written $$", self.fault("store.url = { file = '/a$/b' }"))

    def test_environment(self) -> None:
        """A secret may be a variable of the environment."""
        self.environment["URL"] = _URL
        settings = self.parse("store.replica_url = { env = 'URL' }")
        self.assertEqual(settings.store.replica_url, _URL)

    def test_in_array(self) -> None:
        """In an array, each of several may be elsewhere."""
        path = self.write(b"redis://:hush@s2.example:26379\n")
        settings = self.parse(
            f"cluster.sentinels = ['s1.example:26379', {{ file = '{path}' }}]"
        )
        self.assertEqual(
            settings.cluster.sentinels,
            ("s1.example:26379", "redis://:hush@s2.example:26379"),
        )

    def test_missing(self) -> None:
        """What is not there, or holds nothing of use, is named in one line."""
        self.environment["EMPTY"] = ""
        nowhere = str(self.directory / "nowhere")
        for where, fault in (
            (f"file = '{nowhere}'", f"{nowhere}: No such file or directory"),
            (f"file = '{self.directory}'", f"{self.directory}: Is a directory"),
            (f"file = '{self.write(b'')}'", f"{self.directory}/url: empty"),
            ("env = 'NOWHERE'", "there is no NOWHERE in the environment"),
            ("env = 'EMPTY'", "EMPTY in the environment is empty"),
        ):
            self.assertEqual(
                self.fault(f"store.url = {{ {where} }}"), f"store.url: {fault}"
            )
        path = self.write(b"hush\xff")
        self.assertIn("not UTF-8", self.fault(f"store.url = {{ file = '{path}' }}"))
        path = self.write(b"hush" * 20_000)
        self.assertIn("longer than", self.fault(f"store.url = {{ file = '{path}' }}"))

    def test_checked(self) -> None:
        """What was found is held to what the setting may be, and not shown."""
        path = self.write(b"http://hush")
        fault = self.fault(f"cluster.redis = {{ file = '{path}' }}")
        self.assertTrue(fault.startswith("cluster.redis: must begin with"), fault)

    def test_other_tables(self) -> None:
        """A table that says something else is a fault, and is not shown."""
        for table in (
            "{}",
            "{ fiel = 'hush' }",
            "{ file = 1 }",
            "{ file = 'a', env = 'hush' }",
        ):
            fault = self.fault(f"store.url = {table}")
            self.assertIn('must be a string, { file = "PATH" } or', fault)

    def test_only_secrets(self) -> None:
        """A setting that anybody may see stands in the settings file itself."""
        self.assertIn(
            "relay.name: must be a string", self.fault("relay.name = {env='A'}")
        )

    def test_own_environment(self) -> None:
        """Without anything said, it is the environment of the process."""
        name, value = next((n, v) for n, v in os.environ.items() if v)
        self.assertEqual(
            parse_settings(f"store.url = {{env = '{name}'}}").store.url, value
        )
