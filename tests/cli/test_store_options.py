"""Tests for the options that commands on a store share."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

import click

from nostrtx.cli.store_options import settings_for


class SettingsForTests(TestCase):
    """Tests for :func:`nostrtx.cli.store_options.settings_for`."""

    def test_defaults(self) -> None:
        """Without options the relay's own default store is meant."""
        self.assertEqual(settings_for(None, None).store.url, "lmdb:data")

    def test_store_overrides_the_file(self) -> None:
        """``--store`` goes before what the settings file names."""
        with TemporaryDirectory() as directory:
            path = Path(directory, "relay.toml")
            path.write_text('[store]\nurl = "lmdb:one"\nmax_gigabytes = 7\n')
            self.assertEqual(settings_for(str(path), None).store.url, "lmdb:one")
            both = settings_for(str(path), "lmdb:two").store
        self.assertEqual((both.url, both.max_gigabytes), ("lmdb:two", 7))

    def test_mistakes_are_one_line(self) -> None:
        """An unusable file and a missing store end the command with one line."""
        with self.assertRaises(click.ClickException) as caught:
            settings_for("no-such-file.toml", None)
        self.assertIn("no-such-file.toml", caught.exception.message)
        with self.assertRaises(click.ClickException) as caught:
            settings_for(None, "lmdb:no-such-store", must_exist=True)
        self.assertNotIn("\n", caught.exception.message)
