"""Tests for :mod:`nostrtx.settings.rates`."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.settings.rates import Rate, RateSettings, parse_rate


class ParseRateTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.settings.rates.parse_rate`."""

    def test_rates(self) -> None:
        """A rate is a number in a second, a minute, an hour or a day."""
        for text, rate in (
            ("10/s", Rate(10, 1, "second")),
            ("300/min", Rate(300, 60, "minute")),
            ("5000/h", Rate(5000, 3600, "hour")),
            ("1000000/d", Rate(1_000_000, 86_400, "day")),
        ):
            self.assertEqual(parse_rate(text), rate)

    def test_none(self) -> None:
        """The empty text is no limit."""
        self.assertIsNone(parse_rate(""))

    def test_faults(self) -> None:
        """What is no rate is refused with what one looks like."""
        for text in (
            *("10", "10/", "/s", "10/m", "10/minute", "1.5/s", "-1/s", " 1/s", "1/s "),
            *("1 / s", "1/S", "\u0661/s", "9" * 16 + "/s", "1/s\n"),
        ):
            error = self.assertRaises(ValueError, parse_rate, text)
            self.assertIn('such as "300/min"', str(error), text)

    def test_zero(self) -> None:
        """A rate of nothing would be a relay that takes nothing: surely a mistake."""
        error = self.assertRaises(ValueError, parse_rate, "0/s")
        self.assertEqual(
            str(error), 'must be at least 1 in its time; "" is for no limit'
        )


class GuideTests(SynchronousTestCase):
    """What docs/policies.md tells operators about rates."""

    def test_examples(self) -> None:
        """Every example can be pasted into the table of a settings file."""
        guide = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
        section = guide.partition("\n## Rates\n")[2].partition("\n## ")[0]
        examples = re.findall(r"(?:^    .+\n)+", section, re.MULTILINE)
        self.assertEqual(len(examples), 3)
        for example in examples:
            text = dedent(example)
            if not text.startswith("["):
                text = f"[rates]\n{text}"
            self.assertNotEqual(parse_settings(text).rates, RateSettings(), text)


class SettingsTests(SynchronousTestCase):
    """The table ``[rates]`` in a settings file."""

    def test_faults(self) -> None:
        """A fault in the file is told with the name of the setting."""
        error = self.assertRaises(
            ConfigError, parse_settings, "[rates]\npubkey_events = '10/month'"
        )
        self.assertEqual(
            str(error),
            'rates.pubkey_events: must be a whole number and "/s", "/min", "/h" or'
            ' "/d", such as "300/min", or "" for no limit, not "10/month"',
        )

    def test_exempt(self) -> None:
        """What is exempt is named as trusted proxies are."""
        settings = parse_settings("rates.exempt = ['10.0.0.0/8', 'unix']").rates
        self.assertEqual(settings.exempt, ("10.0.0.0/8", "unix"))
        error = self.assertRaises(
            ConfigError, parse_settings, "rates.exempt = ['example.com']"
        )
        self.assertIn("rates.exempt: must hold networks such as", str(error))

    def test_defaults(self) -> None:
        """Nothing is limited unless it is said, and nobody on this machine."""
        settings = parse_settings("").rates
        self.assertEqual(settings.address_events, "")
        self.assertEqual(settings.exempt, ("127.0.0.0/8", "::1", "unix"))
