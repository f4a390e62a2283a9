"""Tests for :mod:`nostrtx.cli.policy_findings`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from nostrtx.cli.policy_findings import policy_findings
from nostrtx.settings.policies import ListSettings
from nostrtx.settings.programs import PluginSettings, ProgramSettings
from nostrtx.settings.tree import Settings
from tests.relay.policies.example import install_example


class PolicyFindingsTests(SynchronousTestCase):
    """What is told of an operator's own policies."""

    def setUp(self) -> None:
        """A directory."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def told(self, **tables: Any) -> list[str]:
        """What is found of settings; all of it faults."""
        findings = list(policy_findings(Settings(**tables), Clock()))
        self.assertTrue(all(each.is_fault for each in findings))
        return [each.text for each in findings]

    def test_lists(self) -> None:
        """Files of lists must be there, and hold what they are said to."""
        good, bad = self.directory / "good", self.directory / "bad"
        good.write_text("203.0.113.0/24  # a comment\n")
        bad.write_text("1.2.3.4\n" + "x\n" * 7)
        files = tuple(map(str, (good, bad, self.directory / "nowhere")))
        faults = self.told(lists={"a": ListSettings(files=files, of="addresses")})
        self.assertEqual(len(faults), 7)
        self.assertTrue(faults[0].startswith(f"lists.a.files: {bad}: line 2: "))
        self.assertEqual(faults[5], f"lists.a.files: {bad}: and 2 more faults")
        self.assertIn("nowhere: No such file", faults[6])

    def test_programs(self) -> None:
        """A program must be one that can be run."""
        programs = ProgramSettings(command="sh -c true"), ProgramSettings(command="./x")
        self.assertEqual(
            self.told(programs=programs), ["programs[1].command: there is no ./x"]
        )
        # That it states none is told elsewhere.
        self.assertEqual(self.told(programs=(ProgramSettings(),)), [])

    def test_plugins(self) -> None:
        """A plugin must be installed, and take its options."""
        install_example(self)
        good = PluginSettings("quiet-hours")
        self.assertEqual(self.told(plugins=(good, PluginSettings())), [])
        bad = (
            PluginSettings("loud-hours"),
            PluginSettings("quiet-hours", {"from": 99}),
        )
        missing, refused = self.told(plugins=bad)
        self.assertTrue(missing.startswith("plugins[0].name: there is no plugin"))
        self.assertTrue(refused.startswith("plugins[1].options: "), refused)

    def test_broken(self) -> None:
        """A plugin that cannot be imported is told, not just passed over."""
        plugins = self.directory / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "broken_policy.py").write_text("import no_such_library\n")
        self.patch(sys, "path", [str(self.directory), *sys.path])
        paths = [*twisted.plugins.__path__, str(plugins)]
        self.patch(twisted.plugins, "__path__", paths)
        self.addCleanup(sys.modules.pop, "twisted.plugins.broken_policy", None)
        faults = self.told(plugins=(PluginSettings("broken"),))
        self.flushLoggedErrors(ModuleNotFoundError)
        self.assertIn(
            "plugins: one that is installed cannot be imported: No module named"
            " 'no_such_library'",
            faults,
        )
