"""Tests for :mod:`nostrtx.web.landing`."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.access import AuthSettings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.information import information_of
from nostrtx.web.landing import CONTENT_SECURITY_POLICY, LandingPage

EVIL = "</title><script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """
    A page, taken apart.

    Attributes:
        tags: Each start tag with its attributes.
        texts: By the name of the tag around them.
    """

    EMPTY = ("meta", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        if self._open:
            raise ValueError(f"never closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close it, in order."""
        if self._open.pop() != tag:
            raise ValueError(f"{tag} is not the one that is open")

    def handle_data(self, data: str) -> None:
        """Note it."""
        if self._open:
            tag = self._open[-1]
            self.texts[tag] = self.texts.get(tag, "") + data


def page_of(settings: Settings, facts: dict[str, int] | None = None) -> str:
    """The page of a relay with these settings."""
    page = LandingPage(information_of(settings), settings)
    return page.html(facts or {}, "relay.example:7447")


class LandingPageTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.landing.LandingPage`."""

    def test_well_formed(self) -> None:
        """The page is well-formed, in a language, and fits a phone."""
        page = Page(page_of(Settings(), {"sessions": 3}))
        self.assertIn(("html", {"lang": "en"}), page.tags)
        viewport = [
            attrs for tag, attrs in page.tags if attrs.get("name") == "viewport"
        ]
        self.assertEqual(viewport[0]["content"], "width=device-width,initial-scale=1")

    def test_escapes(self) -> None:
        """Nothing that the operator or the client wrote becomes markup."""
        evil_url = f"wss://relay.example/{EVIL}"
        settings = Settings(
            relay=RelaySettings(
                url=evil_url,
                name=EVIL,
                description=EVIL,
                contact=EVIL,
                terms_of_service=f"https://{EVIL}",
            )
        )
        page = Page(page_of(settings))
        self.assertEqual(page.texts["h1"], EVIL)
        self.assertEqual(page.texts["title"], EVIL)
        self.assertEqual(page.texts["code"], evil_url)
        self.assertEqual([tag for tag, _ in page.tags].count("script"), 1)
        own = LandingPage(information_of(Settings()), Settings())
        self.assertEqual(Page(own.html({}, EVIL)).texts["code"], f"ws://{EVIL}/")

    def test_dangerous_links(self) -> None:
        """A contact that is no web or mail address is shown but not linked."""
        settings = Settings(relay=RelaySettings(contact="javascript:alert(1)"))
        page = Page(page_of(settings))
        links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
        self.assertEqual([link for link in links if "alert" in str(link)], [])
        self.assertIn("javascript:alert(1)", page.texts["p"])

    def test_self_contained(self) -> None:
        """The page loads nothing, and its policy lets it load nothing."""
        page = Page(page_of(Settings()))
        for _, attrs in page.tags:
            self.assertNotIn("src", attrs)
        self.assertNotIn("url(", page.texts["style"])
        for kind in ("style", "script"):
            digest = b64encode(sha256(page.texts[kind].encode()).digest()).decode()
            self.assertIn(f"{kind}-src 'sha256-{digest}'", CONTENT_SECURITY_POLICY)
        self.assertIn("default-src 'none'", CONTENT_SECURITY_POLICY)
        self.assertIn("prefers-color-scheme:dark", page.texts["style"])

    def test_url(self) -> None:
        """The URL is that of the settings, else that of the request."""
        self.assertEqual(
            Page(page_of(Settings())).texts["code"], "ws://relay.example:7447/"
        )
        settings = Settings(relay=RelaySettings(url="wss://r.example/"))
        self.assertEqual(Page(page_of(settings)).texts["code"], "wss://r.example/")

    def test_numbers(self) -> None:
        """The relay's numbers are shown, as far as they are known."""
        facts = {"sessions": 7, "events_stored": 1234567, "other": 4711}
        html = page_of(Settings(), facts)
        self.assertIn("<dt>Connected now</dt><dd>7</dd>", html)
        self.assertIn("<dd>1,234,567</dd>", html)
        self.assertNotIn("4711", html)
        self.assertNotIn("Events received", html)

    def test_limits(self) -> None:
        """The limits are told in words, with their units."""
        limits = LimitSettings(created_at_lower_seconds=86400, max_limit=10)
        text = Page(page_of(Settings(limits=limits))).texts["dd"]
        for words in (
            "512,000 bytes",
            "200 per connection",
            "at most 10 per filter, 10 by default",
            "400,000 characters per event",
            "1 day old",
            "15 minutes in the future",
        ):
            self.assertIn(words, text)
        self.assertIn("any age", Page(page_of(Settings())).texts["dd"])

    def test_conditions(self) -> None:
        """Who must prove what, and for what, is told in words."""
        for settings, words in (
            (Settings(), "for private events"),
            (Settings(), "kinds 4, 1059, 21059, for author and recipients"),
            (
                Settings(auth=AuthSettings(required="both", open_kinds=())),
                "to publish and to read, and for private events",
            ),
            (
                Settings(auth=AuthSettings(required="write", private_kinds=())),
                "to publish other than kinds 0, 3, 10002, 10050",
            ),
            (
                Settings(auth=AuthSettings(write_kinds=(1, 7), private_kinds=())),
                "to publish kinds 1, 7",
            ),
            (Settings(auth=AuthSettings(private_kinds=())), "not needed"),
            (
                Settings(limits=LimitSettings(min_pow_difficulty=20)),
                "20 bits per event",
            ),
        ):
            self.assertIn(words, Page(page_of(settings)).texts["dd"])

    def test_nips(self) -> None:
        """Each supported NIP is linked."""
        page = Page(page_of(Settings()))
        links = [str(attrs["href"]) for tag, attrs in page.tags if tag == "a"]
        for nip in information_of(Settings())["supported_nips"]:
            self.assertTrue(any(link.endswith(f"/{nip:02}.md") for link in links), nip)
