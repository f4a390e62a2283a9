"""Tests that the examples in docs/policies.md are good."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.consistency import check_consistency
from nostrtx.nostr.bech32 import decode
from nostrtx.settings.file import parse_settings

_GUIDE = Path(__file__).parents[1] / "docs" / "policies.md"


class PoliciesGuideTests(SynchronousTestCase):
    """Whoever copies from the guide gets settings that can be used."""

    def setUp(self) -> None:
        """Read it."""
        self.text = _GUIDE.read_text(encoding="utf-8")

    def test_examples(self) -> None:
        """Every settings file in it is one, and changes something."""
        examples = re.findall(r"```toml\n(.*?)```", self.text, re.DOTALL)
        self.assertGreater(len(examples), 5)
        for example in examples:
            settings = parse_settings(example)
            check_consistency(settings)
            self.assertTrue(settings.rules or settings.lists, example)

    def test_links(self) -> None:
        """Links within it lead to headings."""
        headings = {
            re.sub(r"[^a-z -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"(?m)^#+ (.*)$", self.text)
        }
        for target in re.findall(r"\]\(#([a-z-]+)\)", self.text):
            self.assertIn(target, headings)

    def test_keys(self) -> None:
        """The keys in it are keys."""
        for npub in set(re.findall(r"npub1[a-z0-9]{58}", self.text)):
            decode(npub)
