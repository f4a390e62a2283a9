"""Tests for :mod:`nostrtx.nostr.relay_url`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.relay_url import (
    MAX_LENGTH,
    RelayURLError,
    is_one_of,
    parse_http_url,
    parse_relay_url,
    same_relay,
)

#: Texts that are no URL of a relay, whatever the relay.
_MALFORMED = (
    "",
    "relay.example.com",
    "//relay.example.com/",
    "wss:relay.example.com",
    "wss:///",
    "wss://",
    "wss://:443/",
    "ftp://relay.example.com/",
    "wss://user@relay.example.com/",
    "wss://user:secret@relay.example.com/",
    "wss://@relay.example.com/",
    "wss://relay.example.com@evil.example/",
    "wss://evil.example\\@relay.example.com/",
    "wss://relay.example.com\\.evil.example/",
    "wss://relay.example.com:x/",
    "wss://relay.example.com:-1/",
    "wss://relay.example.com:+443/",
    "wss://relay.example.com: 443/",
    "wss://relay.example.com:4_43/",
    "wss://relay.example.com:٤٤٣/",
    "wss://relay.example.com:0/",
    "wss://relay.example.com:65536/",
    "wss://relay.example.com:" + "4" * 1000 + "/",
    "wss://relay.example.com:443:443/",
    " wss://relay.example.com/",
    "wss://relay.example.com/ ",
    "wss://relay.exa\nmple.com/",
    "wss://relay.exa\tmple.com/",
    "wss://relay.example.com/\0",
    "wss://relay..example.com/",
    "wss://.relay.example.com/",
    "wss://relay.example.com../",
    "wss://relay%2eexample.com/",
    "wss://relay.example.com℀evil.example/",
    "wss://rel*y.example.com/",
    "wss://\u2024\u2024/",
    "wss://[::1/",
    "wss://::1/",
    "wss://[::1]evil.example/",
    "wss://[::1]@evil.example/",
    "wss://evil.example[::1]/",
    "wss://[::1%25eth0]/",
    "wss://[relay.example.com]/",
    "wss://[127.0.0.1]/",
    "wss://[]/",
)


class ParseTests(SynchronousTestCase):
    """What is a URL, and its normal form."""

    def test_normal_form(self) -> None:
        """One relay's URL has one text, however it was written."""
        for text, normal in (
            ("wss://relay.example.com", "wss://relay.example.com/"),
            ("wss://relay.example.com/", "wss://relay.example.com/"),
            ("WSS://RELAY.Example.COM/", "wss://relay.example.com/"),
            ("wss://relay.example.com:443/", "wss://relay.example.com/"),
            ("wss://relay.example.com:/", "wss://relay.example.com/"),
            ("wss://relay.example.com:0443/", "wss://relay.example.com/"),
            ("wss://relay.example.com./", "wss://relay.example.com/"),
            ("wss://relay.example.com//", "wss://relay.example.com/"),
            ("wss://relay.example.com/#top", "wss://relay.example.com/"),
            ("wss://relay.example.com:80/", "wss://relay.example.com:80/"),
            ("ws://relay.example.com:80/", "ws://relay.example.com/"),
            ("ws://relay.example.com:443/", "ws://relay.example.com:443/"),
            ("ws://127.0.0.1:7447", "ws://127.0.0.1:7447/"),
            ("ws://localhost:65535/Nostr/", "ws://localhost:65535/Nostr"),
            ("wss://a_b.example/x?k=V/", "wss://a_b.example/x?k=V/"),
            ("wss://a.example?k=v", "wss://a.example/?k=v"),
            ("ws://[::1]:7447/", "ws://[::1]:7447/"),
            ("wss://[2001:DB8:0:0::1]", "wss://[2001:db8::1]/"),
            ("wss://[::1]:443/", "wss://[::1]/"),
            ("wss://Bücher.example/", "wss://xn--bcher-kva.example/"),
            ("wss://ｒｅｌａｙ。example/", "wss://relay.example/"),
            ("wss://straße.example/", "wss://xn--strae-oqa.example/"),
            ("wss://XN--bcher-kva.example/", "wss://xn--bcher-kva.example/"),
        ):
            self.assertEqual(str(parse_relay_url(text)), normal)
            self.assertEqual(str(parse_relay_url(normal)), normal)

    def test_malformed(self) -> None:
        """Texts that only look like a URL are refused, each with a reason."""
        for text in _MALFORMED:
            error = self.assertRaises(RelayURLError, parse_relay_url, text)
            self.assertNotEqual(str(error), "", text)

    def test_long(self) -> None:
        """A text may be so long and no longer."""
        longest = "wss://a.example/".ljust(MAX_LENGTH, "x")
        self.assertEqual(str(parse_relay_url(longest)), longest)
        self.assertRaises(RelayURLError, parse_relay_url, longest + "x")

    def test_http(self) -> None:
        """Only where HTTP is spoken does its scheme stand for the WebSocket's."""
        for http, ws in (("https", "wss"), ("http", "ws")):
            url = f"{http}://relay.example.com/x?y=z"
            self.assertEqual(parse_http_url(url), parse_http_url(ws + url[len(http) :]))
            self.assertRaises(RelayURLError, parse_relay_url, url)
        self.assertNotEqual(
            parse_http_url("http://relay.example.com/"),
            parse_http_url("https://relay.example.com/"),
        )


class SameRelayTests(SynchronousTestCase):
    """Which URLs are of one relay."""

    def test_same(self) -> None:
        """TLS, the query and the way of writing make no difference."""
        for text in (
            "wss://relay.example.com",
            "ws://relay.example.com/",
            "ws://relay.example.com:80/",
            "wss://RELAY.example.com:443/",
            "wss://relay.example.com/?utm=1",
        ):
            self.assertTrue(same_relay(text, "wss://relay.example.com/"), text)
            self.assertTrue(same_relay("wss://relay.example.com/", text), text)

    def test_different(self) -> None:
        """Another host, port or path is another relay, however alike it looks."""
        for text in (
            "wss://relay.example.com.evil.example/",
            "wss://evil.example/relay.example.com/",
            "wss://evil.example/?wss://relay.example.com/",
            "wss://evil.example/#wss://relay.example.com/",
            "wss://evilrelay.example.com/",
            "wss://example.com/",
            "wss://relay.example.co/",
            "wss://re1ay.example.com/",
            "wss://rеlay.example.com/",
            "wss://relay.example.com:444/",
            "wss://relay.example.com:80/",
            "ws://relay.example.com:443/",
            "wss://relay.example.com/inbox",
        ):
            self.assertFalse(same_relay(text, "wss://relay.example.com/"), text)
            self.assertFalse(same_relay("wss://relay.example.com/", text), text)

    def test_path(self) -> None:
        """Where a host has several relays, their paths tell them apart."""
        self.assertTrue(same_relay("wss://a.example/in/", "ws://a.example/in"))
        self.assertFalse(same_relay("wss://a.example/in", "wss://a.example/In"))
        self.assertFalse(same_relay("wss://a.example/in", "wss://a.example/"))

    def test_malformed(self) -> None:
        """What is no URL is the same as nothing, itself included."""
        for text in _MALFORMED:
            self.assertFalse(same_relay(text, text), text)
            self.assertFalse(same_relay(text, "wss://relay.example.com/"), text)
            self.assertFalse(same_relay("wss://relay.example.com/", text), text)

    def test_one_of(self) -> None:
        """A relay may have several URLs, or none that it knows of."""
        urls = ("wss://relay.example.com/", "ws://abc.onion/")
        self.assertTrue(is_one_of("ws://ABC.onion", urls))
        self.assertTrue(is_one_of("wss://relay.example.com", urls))
        self.assertFalse(is_one_of("wss://other.example/", urls))
        self.assertFalse(is_one_of("wss://relay.example.com/", ()))
        self.assertFalse(is_one_of("", ("",)))
