"""Tests for :mod:`nostrtx.nostr.authentication`."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence, Set
from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.authentication import (
    MAX_HEADER_BYTES,
    check_authentication,
    check_http_authentication,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import loads
from tests.nostr.vectors import load
from tests.storage.events import NOW, public_key, signed_event

_URLS = ("wss://relay.example.com/", "ws://abc.onion/")
_HTTP_URL = "https://relay.example.com/"


def _auth_members(
    *tags: Sequence[str], created_at: int = NOW, kind: int = 22242
) -> object:
    return loads(signed_event(kind=kind, created_at=created_at, tags=tags).raw)


def _http_event(
    *tags: Sequence[str], u: str = _HTTP_URL, method: str = "GET", content: str = ""
) -> Event:
    return signed_event(
        kind=27235, tags=[["u", u], ["method", method], *tags], content=content
    )


def _header(event: Event) -> bytes:
    return b"Nostr " + b64encode(event.raw)


class ClientAuthenticationTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.authentication.check_authentication`."""

    def _assert_refused(
        self,
        members: object,
        *,
        challenges: Set[str] = frozenset("c"),
        urls: Sequence[str] = _URLS,
    ) -> None:
        refusal = self.assertRaises(
            Rejected, check_authentication, members, challenges, urls, NOW
        )
        self.assertEqual(refusal.prefix, ReasonPrefix.INVALID)

    def test_vectors(self) -> None:
        """Each message is taken or refused as the vectors say."""
        vectors = load("auth")
        challenges, urls = {vectors["challenge"]}, [vectors["relay_url"]]
        self.assertEqual(len(vectors["cases"]), 18)
        for case in vectors["cases"]:
            members = case["message"][1]
            try:
                event = check_authentication(members, challenges, urls, vectors["now"])
            except Rejected as refusal:
                self.assertFalse(case["expect_ok"], case["name"])
                self.assertEqual(refusal.prefix, ReasonPrefix.INVALID, case["name"])
            else:
                self.assertTrue(case["expect_ok"], case["name"])
                self.assertEqual(event.pubkey.hex(), members["pubkey"])

    def test_several(self) -> None:
        """Any challenge that is open and any URL of the relay will do."""
        for challenge in ("c", "d"):
            for url in ("wss://relay.example.com", "ws://abc.onion"):
                event = check_authentication(
                    _auth_members(["relay", url], ["challenge", challenge]),
                    {"c", "d"},
                    _URLS,
                    NOW,
                )
                self.assertEqual(event.pubkey, public_key(1))

    def test_window(self) -> None:
        """Ten minutes either way are allowed, to the second."""
        tags = [["relay", _URLS[0]], ["challenge", "c"]]
        for seconds in (-600, 600):
            members = _auth_members(*tags, created_at=NOW + seconds)
            event = check_authentication(members, {"c"}, _URLS, NOW)
            self.assertEqual(event.created_at, NOW + seconds)
        for seconds in (-601, 601):
            self._assert_refused(_auth_members(*tags, created_at=NOW + seconds))

    def test_first_tag(self) -> None:
        """The first challenge and the first relay count, and no other."""
        good = [["relay", _URLS[0]], ["challenge", "c"]]
        check_authentication(
            _auth_members(*good, ["relay", "x"], ["challenge", "x"]),
            {"c"},
            _URLS,
            NOW,
        )
        for first in (["relay", "x"], ["challenge", "x"], ["relay"], ["challenge"]):
            self._assert_refused(_auth_members(first, *good))

    def test_no_challenge_open(self) -> None:
        """Where no challenge was sent, none is answered, not even an empty one."""
        for value in ("", "c"):
            members = _auth_members(["relay", _URLS[0]], ["challenge", value])
            self._assert_refused(members, challenges=frozenset())
        members = _auth_members(["relay", _URLS[0]], ["challenge", ""])
        self._assert_refused(members, challenges={""})

    def test_no_url(self) -> None:
        """A relay that does not know its URL takes nobody's word for it."""
        members = _auth_members(["relay", _URLS[0]], ["challenge", "c"])
        self._assert_refused(members, urls=())
        members = _auth_members(["relay", ""], ["challenge", "c"])
        self._assert_refused(members, urls=("",))

    def test_not_an_event(self) -> None:
        """Anything else than an event is refused like a bad one."""
        others: list[object] = [None, "x", [], {}, {"id": 1}, 5]
        for members in others:
            self._assert_refused(members)


class HTTPAuthenticationTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.authentication.check_http_authentication`."""

    def _refusal(self, header: bytes | None, **arguments: Any) -> Rejected:
        arguments = {
            "method": "GET",
            "urls": [_HTTP_URL],
            "body": b"",
            "now": NOW,
        } | arguments
        refusal: Rejected = self.assertRaises(
            Rejected, check_http_authentication, header, **arguments
        )
        return refusal

    def test_vectors(self) -> None:
        """Each header is taken or refused as the vectors say."""
        vectors = load("http_auth")
        body = vectors["body"].encode()
        self.assertEqual(sha256(body).hexdigest(), vectors["payload_sha256"])
        self.assertEqual(len(vectors["cases"]), 21)
        admin = load("keys")["keys"][0]["pubkey"]
        for case in vectors["cases"]:
            text = case["authorization"]
            try:
                event = check_http_authentication(
                    None if text is None else text.encode(),
                    vectors["method"],
                    [vectors["url"]],
                    body,
                    vectors["now"],
                    payload_required=True,
                )
            except Rejected:
                status: object = 401
            else:
                status = 200 if event.pubkey.hex() == admin else "not an admin"
            expected = case["status"]
            if expected == "401 or 403, never executed":
                expected = "not an admin"
            self.assertEqual(status, expected, case["name"])

    def test_relay_url(self) -> None:
        """The URL may be the relay's own, with or without its slash."""
        for u in ("wss://relay.example.com/", "wss://relay.example.com", _HTTP_URL):
            event = check_http_authentication(
                _header(_http_event(u=u)), "GET", [_HTTP_URL], b"", NOW
            )
            self.assertEqual(event.pubkey, public_key(1))

    def test_several_urls(self) -> None:
        """Any URL that leads to the relay is good; without one, nothing is."""
        header = _header(_http_event(u="https://b.example/"))
        urls = ("wss://a.example/", "wss://b.example")
        event = check_http_authentication(header, "GET", urls, b"", NOW)
        self.assertEqual(event.pubkey, public_key(1))
        self._refusal(header, urls=urls[:1])
        self._refusal(header, urls=())

    def test_other_url(self) -> None:
        """Another scheme, host, port, path or query is another URL."""
        for u in (
            "",
            "/",
            "relay.example.com",
            "http://relay.example.com/",
            "ws://relay.example.com/",
            "https://relay.example.com:444/",
            "https://relay.example.com/x",
            "https://relay.example.com/?x=y",
            "https://user@relay.example.com/",
            "https://relay.example.com@evil.example/",
            "https://relay.example.com.evil.example/",
        ):
            refusal = self._refusal(_header(_http_event(u=u)))
            self.assertEqual(refusal.prefix, ReasonPrefix.INVALID, u)

    def test_query(self) -> None:
        """The query is part of the URL, letter by letter."""
        url = "https://relay.example.com/a?b=C&d=e"
        event = _http_event(u=url)
        found = check_http_authentication(_header(event), "GET", [url], b"", NOW)
        self.assertEqual(found.id, event.id)
        for other in (url.lower(), url + "&f", url.replace("?", "?d=e&")):
            self._refusal(_header(event), urls=[other])

    def test_method(self) -> None:
        """The method is compared letter by letter."""
        for method in ("get", "POST", "", "GET "):
            self._refusal(_header(_http_event(method=method)))

    def test_payload(self) -> None:
        """A payload tag must fit the body, required or not."""
        right = ["payload", sha256(b"body").hexdigest()]
        for required in (False, True):
            event = check_http_authentication(
                _header(_http_event(right)),
                "GET",
                [_HTTP_URL],
                b"body",
                NOW,
                payload_required=required,
            )
            self.assertEqual(event.pubkey, public_key(1))
            for body in (b"", b"Body", b"body "):
                self._refusal(
                    _header(_http_event(right)), body=body, payload_required=required
                )
            for wrong in (["payload"], ["payload", ""]):
                self._refusal(_header(_http_event(wrong)), payload_required=required)

    def test_no_payload(self) -> None:
        """Without a payload tag any body goes, unless one is required."""
        header = _header(_http_event())
        event = check_http_authentication(header, "GET", [_HTTP_URL], b"body", NOW)
        self.assertEqual(event.pubkey, public_key(1))
        self._refusal(header, payload_required=True)

    def test_spellings(self) -> None:
        """Padded or not, of either alphabet, with blanks around: base64 is base64."""
        event = _http_event(content="\u00ff\u00fe\u07ff??>>" * 3)
        padded = b64encode(event.raw)
        self.assertIn(b"+", padded)
        self.assertIn(b"/", padded)
        for header in (
            b"Nostr " + padded,
            b"NOSTR   " + padded + b" ",
            b"nostr " + padded.rstrip(b"="),
            b"Nostr " + urlsafe_b64encode(event.raw),
        ):
            found = check_http_authentication(header, "GET", [_HTTP_URL], b"", NOW)
            self.assertEqual(found.id, event.id)

    def test_no_credentials(self) -> None:
        """Without a Nostr header the answer is that one is needed."""
        for header in (None, b"", b"Bearer x", b"Basic eA==", b"Nostr:eA==", b"\xff"):
            refusal = self._refusal(header)
            self.assertEqual(refusal.prefix, ReasonPrefix.AUTH_REQUIRED, header)

    def test_malformed(self) -> None:
        """Whatever else is in the header, it is refused and nothing breaks."""
        event = _http_event()
        for header in (
            b"Nostr",
            b"Nostr ",
            b"Nostr =",
            b"Nostr A",
            b"Nostr \xff\xfe",
            b"Nostr " + b64encode(b"\xff\xfe"),
            b"Nostr " + b64encode(b"[]"),
            b"Nostr " + b64encode(b"null"),
            b"Nostr " + b64encode(b"{}"),
            b"Nostr " + b64encode(b"[" * 10_000),
            b"Nostr " + b64encode(event.raw)[:-8],
            b"Nostr " + b64encode(event.raw) + b"!",
            b"Nostr " + event.raw,
        ):
            refusal = self._refusal(header)
            self.assertEqual(refusal.prefix, ReasonPrefix.INVALID, header[:40])

    def test_long_header(self) -> None:
        """A header that is longer than any sensible one is not looked at."""
        header = _header(_http_event()).ljust(MAX_HEADER_BYTES)
        event = check_http_authentication(header, "GET", [_HTTP_URL], b"", NOW)
        self.assertEqual(event.pubkey, public_key(1))
        self._refusal(header + b" ")
