"""Tests for :mod:`nostrtx.log_records`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.log_records import Record, json_line, record_of
from nostrtx.workers.reports import Logged


class Unprintable:
    """Something that fails to say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("never mind")

    __repr__ = __str__


class JSONLineTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.log_records.json_line`."""

    def shown(self, **event: Any) -> dict[str, Any]:
        """The object that a log event is written as."""
        line = json_line(
            {
                "log_time": 1795541612.5,
                "log_level": LogLevel.info,
                "log_namespace": "here",
                **event,
            }
        )
        assert line is not None
        self.assertTrue(line.endswith("}\n"))
        self.assertEqual(line.count("\n"), 1)
        shown: dict[str, Any] = json.loads(line)
        return shown

    def test_members(self) -> None:
        """Time, level and place, the text, and what was put into it."""
        self.assertEqual(
            self.shown(log_format="{n} events in {s:.1f} s.", n=3, s=0.25),
            {
                "time": "2026-11-24T17:33:32.500000Z",
                "level": "info",
                "namespace": "here",
                "text": "3 events in 0.2 s.",
                "fields": {"n": 3, "s": 0.25},
            },
        )

    def test_levels(self) -> None:
        """Levels are named as in the text."""
        for level in LogLevel.iterconstants():
            shown = self.shown(log_format="x", log_level=level)
            self.assertEqual(shown["level"], level.name)

    def test_no_fields(self) -> None:
        """Without fields there is no such member."""
        self.assertEqual(
            set(self.shown(log_format="ready", reason="unsaid")),
            {"time", "level", "namespace", "text"},
        )

    def test_only_what_is_told(self) -> None:
        """What the text does not tell, such as an address, the fields do not either."""
        shown = self.shown(log_format="A client.", address="203.0.113.7")
        self.assertNotIn("203.0.113.7", json.dumps(shown))

    def test_any_value(self) -> None:
        """Values that JSON does not have are written as text."""
        values = {
            "none": None,
            "yes": True,
            "error": OSError("no"),
            "octets": b"\xff",
            "infinite": float("inf"),
            "unprintable": Unprintable(),
        }
        format = " ".join(f"{{{name}}}" for name in values)
        self.assertEqual(
            self.shown(log_format=format, **values)["fields"],
            {
                "none": None,
                "yes": True,
                "error": "no",
                "octets": "b'\\xff'",
                "infinite": "inf",
                "unprintable": "<Unprintable>",
            },
        )

    def test_parts_of_values(self) -> None:
        """Of a field that is looked into, the whole is told."""
        shown = self.shown(log_format="{at[0]} {call()}", at=("a", "b"), call=lambda: 7)
        self.assertEqual(shown["text"], "a 7")
        self.assertEqual(shown["fields"]["at"], "('a', 'b')")

    def test_traceback(self) -> None:
        """A traceback is a member of its own, with its line breaks."""
        with capturedLogs() as events:
            try:
                raise ZeroDivisionError("on purpose")
            except ZeroDivisionError:
                Logger("there").failure("It failed.")
        self.flushLoggedErrors(ZeroDivisionError)
        shown = self.shown(**events[0])
        self.assertEqual(shown["text"], "It failed.")
        self.assertEqual(shown["level"], "critical")
        self.assertTrue(shown["traceback"].startswith("Traceback"))
        self.assertTrue(shown["traceback"].endswith("ZeroDivisionError: on purpose"))

    def test_failure_without_text(self) -> None:
        """A traceback alone is told, too."""
        shown = self.shown(log_failure=Failure(KeyError("x")))
        self.assertEqual(shown["text"], "")
        self.assertIn("KeyError", shown["traceback"])

    def test_nothing(self) -> None:
        """An event without text is none, as in a log of text."""
        self.assertIsNone(json_line({"log_level": LogLevel.info}))
        self.assertIsNone(record_of({}))

    def test_worker(self) -> None:
        """Of what a worker has logged, its number is told, and all else as it was."""
        record = Record(1.0, "warn", "there", "3 left", {"n": 3}, "Traceback")
        with capturedLogs() as events:
            Logged(record).log(2)
        self.assertEqual(
            self.shown(**events[0]),
            {
                "time": "1970-01-01T00:00:01.000000Z",
                "level": "warn",
                "namespace": "there",
                "text": "3 left",
                "worker": 2,
                "fields": {"n": 3},
                "traceback": "Traceback",
            },
        )

    @given(st.text(), st.text(), st.floats())
    def test_any_text(self, text: str, field: str, number: float) -> None:
        """Whatever is logged is one line of JSON that says the same."""
        shown = self.shown(log_format="{a}{b}{c}", a=text, b=field, c=number)
        self.assertEqual(shown["fields"]["a"], text)
        self.assertEqual(shown["text"], f"{text}{field}{number}")

    @given(st.text())
    def test_any_format(self, format: str) -> None:
        """A format that is none does not stop the log."""
        line = json_line({"log_format": format, "log_time": 0.0})
        self.assertTrue(line is None or json.loads(line))
