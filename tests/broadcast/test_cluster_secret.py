"""Tests for :mod:`nostrtx.broadcast.cluster_secret`."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.cluster_secret import load_secrets
from nostrtx.settings.file import ConfigError

ONE, TWO = "1f" * 32, "2E" * 32


class LoadSecretsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.broadcast.cluster_secret.load_secrets`."""

    def file(self, content: bytes, mode: int = 0o600) -> str:
        """A file."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def assert_fault(self, words: str, path: str, variable: str = "") -> None:
        """The secrets cannot be used; one line says why and shows none."""
        error = self.assertRaises(ConfigError, load_secrets, path, variable)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))
        self.assertNotIn("1f1f", str(error))

    def test_file(self) -> None:
        """A file has one or several, each on a line of its own."""
        with capturedLogs() as events:
            found = load_secrets(self.file(f"{ONE}\n\n{TWO}\n".encode()), "")
        self.assertEqual(found, (bytes.fromhex(ONE), bytes.fromhex(TWO)))
        self.assertEqual(events, [])

    def test_variable(self) -> None:
        """The environment variable has one or several, separated by blanks."""
        self.assertEqual(load_secrets("", ONE), (bytes.fromhex(ONE),))
        self.assertEqual(
            load_secrets("", f" {TWO}  {ONE}\n"),
            (bytes.fromhex(TWO), bytes.fromhex(ONE)),
        )

    def test_file_first(self) -> None:
        """If there is a file, the variable does not count."""
        self.assertEqual(load_secrets(self.file(ONE.encode()), TWO)[0][0], 0x1F)

    def test_none(self) -> None:
        """Without any, it is told where to put one."""
        self.assert_fault("cluster.secret_file, or set NOSTRTX_CLUSTER_SECRET", "")
        self.assert_fault("cluster.secret_file, or set NOSTRTX_CLUSTER_SECRET", "", " ")
        self.assert_fault("holds no secret", self.file(b"\n"))

    def test_malformed(self) -> None:
        """What is no secret is not used, and not shown."""
        variable = "NOSTRTX_CLUSTER_SECRET: secret"
        self.assert_fault(f"{variable} 1 is not 64 hexadecimal", "", ONE[:-1])
        self.assert_fault(f"{variable} 2 is not 64 hexadecimal", "", f"{ONE} {ONE}0")
        self.assert_fault("secret 1 is not 64", self.file("ä".encode()))

    def test_unreadable(self) -> None:
        """A file that cannot be read is named."""
        self.assert_fault("/nowhere: No such file", "/nowhere")

    def test_readable_by_all(self) -> None:
        """A file that everybody may read is used, with a warning."""
        path = self.file(ONE.encode(), 0o644)
        with capturedLogs() as events:
            self.assertEqual(load_secrets(path, ""), (bytes.fromhex(ONE),))
        [event] = events
        self.assertIn(f"Everybody may read {path}", formatEvent(event))
