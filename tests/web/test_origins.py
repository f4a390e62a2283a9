"""Tests for :mod:`nostrtx.web.origins`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.origins import AllowedOrigins


class AllowedOriginsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.origins.AllowedOrigins`."""

    def setUp(self) -> None:
        """Allow some."""
        self.origins = AllowedOrigins(
            (
                "https://Client.example",
                "http://localhost:3000",
                "https://[2001:db8::1]:443",
                "chrome-extension://abcdef",
            )
        )

    def test_any(self) -> None:
        """If none are named, all may connect."""
        for origin in ("https://evil.example", "null", ""):
            self.assertIsNone(AllowedOrigins(()).refusal(origin))

    def test_allowed(self) -> None:
        """Who is named may connect, however it is spelled."""
        for origin in (
            "https://client.example",
            "https://client.example:443",
            "HTTPS://CLIENT.EXAMPLE",
            "http://localhost:3000",
            "https://[2001:db8::1]",
            "chrome-extension://abcdef",
        ):
            self.assertIsNone(self.origins.refusal(origin), origin)

    def test_refused(self) -> None:
        """Any other page is refused, however alike its origin."""
        for origin in (
            "https://evil.example",
            "http://client.example",
            "https://client.example:8443",
            "https://client.example.evil.example",
            "https://xclient.example",
            "https://client.example:80",
            "http://localhost",
            "null",
            "file://",
            "chrome-extension://abc",
        ):
            refusal = self.origins.refusal(origin)
            assert refusal is not None, origin
            self.assertEqual(refusal[0], 403)

    def test_no_page(self) -> None:
        """Who names no origin is no web page, and may connect."""
        self.assertIsNone(self.origins.refusal(""))

    def test_null(self) -> None:
        """Local files have the origin null, by whatever name."""
        origins = AllowedOrigins(("null",))
        self.assertIsNone(origins.refusal("null"))
        self.assertIsNone(origins.refusal("file://"))
        self.assertIsNotNone(origins.refusal("https://client.example"))
