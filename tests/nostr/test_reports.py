"""Tests for :mod:`nostrtx.nostr.reports`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.reports import MOST_EVENTS, Report, parse_report
from tests.storage.events import make_event

_PERSON, _EVENT, _OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def parsed(*tags: list[str]) -> Report | None:
    """What a report with these tags is about."""
    return parse_report(make_event(kind=1984, tags=list(tags)))


class ReportTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.reports.parse_report`."""

    def test_event(self) -> None:
        """A report names an event and its author, and says what is wrong with it."""
        report = parsed(["e", _EVENT.hex(), "illegal"], ["p", _PERSON.hex()])
        self.assertEqual(report, Report((_EVENT,), _PERSON, "illegal"))

    def test_person(self) -> None:
        """Or a person alone, as in the examples of NIP-56."""
        report = parsed(["p", _PERSON.hex(), "impersonation"])
        self.assertEqual(report, Report((), _PERSON, "impersonation"))

    def test_blob(self) -> None:
        """Or something that is hosted elsewhere, in an event."""
        report = parsed(
            ["x", "00", "malware"],
            ["e", _EVENT.hex(), "https://example.com"],
            ["p", _PERSON.hex()],
        )
        self.assertEqual(report, Report((_EVENT,), _PERSON, "malware"))

    def test_types(self) -> None:
        """What is not one of the types, or is not said, is another one."""
        for more in ([], ["<script>"], ["", "spam"]):
            report = parsed(["e", _EVENT.hex(), *more])
            self.assertEqual(report, Report((_EVENT,), None, "other"))

    def test_nothing(self) -> None:
        """What names neither is no report."""
        for tags in ([], [["e"]], [["e", "12"]], [["p", "npub1"]], [["t", "spam"]]):
            self.assertIsNone(parsed(*tags))

    def test_many(self) -> None:
        """Of one that names half the world, only the first few events count."""
        ids = [number.to_bytes(32, "big") for number in range(500)]
        report = parsed(*[["e", id_.hex()] for id_ in [ids[0], *ids]])
        assert report is not None
        self.assertEqual(report.events, tuple(ids[:MOST_EVENTS]))
