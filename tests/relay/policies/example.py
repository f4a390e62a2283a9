"""The example of a plugin, as if it were installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins

EXAMPLE = Path(__file__).parents[3] / "examples" / "quiet-hours"


def install_example(test: SynchronousTestCase) -> None:
    """Have Twisted find the example until ``test`` ends."""
    directory = Path(test.mktemp())
    shutil.copytree(EXAMPLE, directory)
    test.patch(sys, "path", [str(directory.absolute()), *sys.path])
    plugins = str(directory.absolute() / "twisted" / "plugins")
    test.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, plugins])
    names = ("quiet_hours", "twisted.plugins.quiet_hours_plugin")
    test.addCleanup(lambda: [sys.modules.pop(name, None) for name in names])
