"""Tests for :mod:`nostrtx.relay.policies.list_files`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import Npub, Nsec, encode
from nostrtx.relay.policies.entries import Entries
from nostrtx.relay.policies.list_files import ListFiles, read_list
from nostrtx.settings.policies import ListSettings

_KEYS = [bytes([number]) * 32 for number in range(3)]


def at_once(call: Callable[..., object], *arguments: Any) -> Deferred[object]:
    """Run something here and now."""
    return maybeDeferred(call, *arguments)


class ReadListTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.policies.list_files.read_list`."""

    def file(self, text: str) -> str:
        """A file with this text."""
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_pubkeys(self) -> None:
        """Keys stand one a line, in either form, with comments and blank lines."""
        text = f"# people\n\n{_KEYS[1].hex()}  # one\r\n {encode(Npub(_KEYS[2]))}\n"
        reading = read_list(self.file(text), "pubkeys")
        self.assertEqual(reading.entries, Entries(pubkeys=frozenset(_KEYS[1:])))
        self.assertEqual(reading.faults, ())

    def test_words(self) -> None:
        """A line is a word or a phrase, in which a sign may stand."""
        reading = read_list(self.file("\ufeffFree sats\n*c#*\n#x\n"), "words")
        self.assertEqual(
            reading.entries, Entries(words=frozenset({"Free sats", "*c#*"}))
        )

    def test_addresses(self) -> None:
        """A line is an address or a network."""
        reading = read_list(self.file("10.0.0.1\n2001:db8::/32"), "addresses")
        self.assertEqual(
            reading.entries,
            Entries(addresses=frozenset({"10.0.0.1/32", "2001:db8::/32"})),
        )

    def test_faults(self) -> None:
        """Faults name their lines and show no secret; what is good is there."""
        nsec = encode(Nsec(_KEYS[1]))
        reading = read_list(self.file(f"{_KEYS[1].hex()}\nx\n\n{nsec}"), "pubkeys")
        self.assertEqual(reading.entries.pubkeys, {_KEYS[1]})
        self.assertEqual(
            [fault[:8] for fault in reading.faults], ["line 2: ", "line 4: "]
        )
        self.assertNotIn(nsec, str(reading))

    def test_unreadable(self) -> None:
        """What cannot be read has nothing in it, and the reason is told."""
        self.assertEqual(
            read_list(self.mktemp(), "words").faults, ("No such file or directory",)
        )
        path = Path(self.mktemp())
        path.write_bytes(b"\xff")
        self.assertEqual(read_list(str(path), "words").faults, ("it is not UTF-8",))
        pipe = self.mktemp()
        os.mkfifo(pipe)
        self.assertEqual(read_list(pipe, "words").faults, ("it is no file",))


class ListFilesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.list_files.ListFiles`."""

    def setUp(self) -> None:
        """Two files, one of which is there."""
        self.clock = Clock()
        self.one, self.two = Path(self.mktemp()), Path(self.mktemp())
        self.write(self.one, "a")
        self.changes = 0
        settings = ListSettings(
            files=(str(self.one), str(self.two)), of="words", refresh_seconds=5.0
        )
        self.files = ListFiles("spam", settings, self.clock, self.changed)
        self.addCleanup(self.files.stop)

    def changed(self) -> None:
        """Count changes."""
        self.changes += 1

    def write(self, path: Path, text: str) -> None:
        """Let a file hold this, as of another time than before."""
        path.write_text(text)
        self.times = getattr(self, "times", 0) + 1
        os.utime(path, (self.times, self.times))

    def words(self) -> set[str]:
        """What is in the files."""
        return {word for part in self.files.entries for word in part.words}

    def start(self) -> list[str]:
        """Start, and return what the log says of faults."""
        with capturedLogs() as events:
            self.files.start(at_once)
        return self.told(events)

    def wait(self, seconds: float = 5.0) -> list[str]:
        """Let time pass, and return what the log says of faults."""
        with capturedLogs() as events:
            self.clock.advance(seconds)
        return self.told(events)

    def told(self, events: Any) -> list[str]:
        """The lines of errors."""
        return [
            formatEvent(event)
            for event in events
            if event["log_level"] is LogLevel.error
        ]

    def test_start(self) -> None:
        """What is there is known at once; what is not, the log tells once."""
        self.assertEqual(
            self.start(), [f"List spam: {self.two}: No such file or directory."]
        )
        self.assertEqual(self.words(), {"a"})
        self.assertEqual(self.wait(), [])

    def test_changed(self) -> None:
        """A file that has changed is read again when it is time to look."""
        self.start()
        self.changes = 0
        self.write(self.one, "b")
        self.write(self.two, "c\nd")
        self.wait(4.9)
        self.assertEqual(self.words(), {"a"})
        self.wait(0.1)
        self.assertEqual(self.words(), {"b", "c", "d"})
        self.assertEqual(self.changes, 2)
        self.wait()
        self.assertEqual(self.changes, 2)

    def test_gone(self) -> None:
        """The entries of a file that is gone stay."""
        self.start()
        self.one.unlink()
        for told in (1, 0):
            self.assertEqual(len(self.wait()), told)
            self.assertEqual(self.words(), {"a"})
        self.write(self.one, "a")
        self.changes = 0
        self.assertEqual(self.wait(), [])
        self.assertEqual(self.changes, 0)

    def test_faulty(self) -> None:
        """A file that has become faulty is passed over until it is good again."""
        self.start()
        for at in range(8):
            self.write(self.one, "good\n" + "x" * 300 + "\n" * at)
            self.assertEqual(len(self.wait()), 1 if at == 0 else 0)
            self.assertEqual(self.words(), {"a"})
        self.write(self.one, "\n".join(["x" * 300] * 8))
        self.assertEqual(len(self.wait()), 6)
        self.write(self.one, "good")
        self.assertEqual(self.wait(), [])
        self.assertEqual(self.words(), {"good"})

    def test_faulty_at_start(self) -> None:
        """At the start, what is good in a file counts."""
        self.write(self.one, "a\n" + "x" * 300)
        self.write(self.two, "")
        self.assertEqual(len(self.start()), 1)
        self.assertEqual(self.words(), {"a"})

    def test_failure(self) -> None:
        """If looking fails, it is done again the next time."""
        self.files.start(lambda call, *arguments: self.looking(call, *arguments))
        self.looking = _fails
        self.write(self.one, "b")
        self.clock.advance(5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.looking = at_once
        self.wait()
        self.assertEqual(self.words(), {"b"})

    def test_stop(self) -> None:
        """After the end, nothing is looked at."""
        self.start()
        self.files.stop()
        self.write(self.one, "b")
        self.wait()
        self.assertEqual(self.words(), {"a"})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    looking = staticmethod(at_once)


def _fails(call: Callable[..., object], *arguments: Any) -> Deferred[object]:
    raise ZeroDivisionError("on purpose")
