"""Tests for :mod:`nostrtx.settings.programs`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.consistency import check_consistency
from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.settings.programs import PluginSettings, ProgramSettings


class ProgramSettingsTests(SynchronousTestCase):
    """Tests for ``[[programs]]`` and ``[[plugins]]``."""

    def test_values(self) -> None:
        """Programs and plugins are kept in order; options are the plugin's affair."""
        settings = parse_settings(
            """
            [[programs]]
            command = "/usr/bin/env 'a b' c"
            [[programs]]
            command = ["x", "y z"]
            kinds = [1, "4-5"]
            [[plugins]]
            name = "p"
            options = { a = 1, b = ["c"] }
            """
        )
        first, second = settings.programs
        self.assertEqual(first.arguments, ("/usr/bin/env", "a b", "c"))
        self.assertEqual(
            second, ProgramSettings(command=("x", "y z"), kinds=(1, "4-5"))
        )
        self.assertEqual(second.arguments, ("x", "y z"))
        options = {"a": 1, "b": ["c"]}
        self.assertEqual(settings.plugins, (PluginSettings("p", options),))
        check_consistency(settings)

    def test_refused(self) -> None:
        """Each setting must be what it can be."""
        for text, complaint in (
            ("command = 1", "command: must be a string or an array of strings, not 1"),
            ("command = [1]", "must be a string or an array of strings, not [1]"),
            ("command = 'a \"'", "command: cannot be parted into words"),
            ("in_flight = 0", "in_flight: must be at least 1"),
            ("on_failure = 'x'", 'on_failure: must be one of "refuse", "accept"'),
            ("name = 'a:b'", "name: must be up to 64 of"),
            ("kinds = ['2-1']", "kinds: must hold kinds"),
        ):
            error = self.assertRaises(
                ConfigError, parse_settings, f"[[programs]]\n{text}"
            )
            self.assertIn(f"programs[0].{text.split()[0]}", str(error))
            self.assertIn(complaint, str(error))
        error = self.assertRaises(
            ConfigError, parse_settings, "[[plugins]]\noptions = 1"
        )
        self.assertEqual(str(error), "plugins[0].options: must be a table, not 1")

    def test_together(self) -> None:
        """A program needs a command, a plugin a name, and no two share one."""
        settings = parse_settings(
            """
            [[programs]]
            [[programs]]
            name = "program-0"
            command = "x"
            [[plugins]]
            [[plugins]]
            name = "program-0"
            """
        )
        error = self.assertRaises(ConfigError, check_consistency, settings)
        self.assertEqual(
            str(error).splitlines(),
            [
                "programs[0].command: must be stated",
                'programs[1].name: another one is called "program-0"',
                "plugins[0].name: must be stated",
                'plugins[1].name: another one is called "program-0"',
            ],
        )

    def test_own_names(self) -> None:
        """Nothing may be called as a policy of the relay itself is in metrics."""
        settings = parse_settings(
            """
            [[programs]]
            name = "rates"
            command = "sh"
            [[plugins]]
            name = "rules"
            """
        )
        error = self.assertRaises(ConfigError, check_consistency, settings)
        self.assertEqual(
            str(error).splitlines(),
            [
                'programs[0].name: a policy of the relay itself is called "rates"',
                'plugins[0].name: a policy of the relay itself is called "rules"',
            ],
        )
