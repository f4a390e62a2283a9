"""Tests for :mod:`nostrtx.web.forwarded`."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.forwarded import FORWARDED, hops, parse_node, parse_peer

#: What HTTP headers may hold, and some that they may not.
_ANY_VALUE = st.text(
    st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=60
) | st.text('for="\\,;=[]:1. \t', max_size=60)


def told(name: str, *values: str, header: str = "") -> list[str | None]:
    """What the hops are called that headers called ``name`` tell of."""
    lines = "".join(f"\r\n{name}: {value}" for value in values)
    head = f"GET / HTTP/1.1\r\nHost: relay.example{lines}\r\nAccept: */*"
    found = hops(head, header or name.lower())
    return [None if hop is None else str(hop) for hop in found]


def bare(*values: str) -> list[str | None]:
    """What X-Forwarded-For tells."""
    return told("X-Forwarded-For", *values)


def elements(*values: str) -> list[str | None]:
    """What Forwarded tells."""
    return told("Forwarded", *values)


class ParseNodeTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.forwarded.parse_node`."""

    def test_addresses(self) -> None:
        """IPv4 and IPv6, with and without brackets and ports."""
        for text, address in (
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:50000", "203.0.113.7"),
            ("203.0.113.7:_hidden", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("1::", "1::"),
            ("::1", "::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]:_p", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:1", "203.0.113.7"),
        ):
            self.assertEqual(str(parse_node(text)), address, text)

    def test_none(self) -> None:
        """Names, made-up names and what is no address name nobody."""
        for text in (
            "",
            "unknown",
            "_hidden",
            "_gazonk:80",
            "relay.example",
            "localhost",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.07",
            "203.0.113.7:",
            "203.0.113.7:123456",
            "203.0.113.7:80:80",
            "203.0.113.7/32",
            "[203.0.113.7]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "2001:db8:::1",
            "fe80::1%eth0",
            "[fe80::1%eth0]",
            "3405803783",
            "0xcb007107",
            "1:2",
            ":",
            "203.0.113.7 ",
            "\u0662\u0660\u0663.0.113.7",
        ):
            self.assertIsNone(parse_node(text), text)


class ParsePeerTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.forwarded.parse_peer`."""

    def test_peers(self) -> None:
        """A peer's address may be IPv4 as IPv6, and may name an interface."""
        self.assertEqual(parse_peer("::ffff:10.0.0.1"), ip_address("10.0.0.1"))
        self.assertEqual(parse_peer("fe80::1%eth0"), ip_address("fe80::1"))
        self.assertIsNone(parse_peer(""))


class BareAddressesTests(SynchronousTestCase):
    """What ``X-Forwarded-For`` tells."""

    def test_order(self) -> None:
        """The nearest hop is the last one, over all headers of the name."""
        self.assertEqual(
            bare("192.0.2.1, 192.0.2.2", "[2001:db8::3]:4,192.0.2.4:5"),
            ["192.0.2.4", "2001:db8::3", "192.0.2.2", "192.0.2.1"],
        )

    def test_spelling(self) -> None:
        """The header's name may be in any case, but it must be this name."""
        for name in ("x-forwarded-for", "X-FORWARDED-FOR"):
            self.assertEqual(told(name, "192.0.2.1"), ["192.0.2.1"])
        for name in ("X-Forwarded-For ", "X_Forwarded_For", "X-Forwarded-For-2"):
            found = told(name, "192.0.2.1", header="x-forwarded-for")
            self.assertEqual(found, [])

    def test_nothing(self) -> None:
        """Without the header, or with nothing in it, there are no hops."""
        self.assertEqual(bare(), [])
        self.assertEqual(bare("", " , ,"), [])
        self.assertEqual(list(hops("GET / HTTP/1.1", "x-forwarded-for")), [])

    def test_nobody(self) -> None:
        """An entry that names nobody is a hop all the same."""
        self.assertEqual(
            bare("192.0.2.1, unknown, 192.0.2.2"), ["192.0.2.2", None, "192.0.2.1"]
        )

    def test_within_another_header(self) -> None:
        """What looks like the header inside of another one is none."""
        for between in ("\n", "\r", " ", "\r\n ", "\r\n\t"):
            head = f"GET / HTTP/1.1\r\nA: b{between}X-Forwarded-For: 192.0.2.1"
            self.assertEqual(list(hops(head, "x-forwarded-for")), [])

    def test_folded(self) -> None:
        """A value on several lines is one value."""
        self.assertEqual(bare("192.0.2.1,\r\n 192.0.2.2"), ["192.0.2.2", "192.0.2.1"])

    @given(_ANY_VALUE)
    def test_whatever_is_before(self, made_up: str) -> None:
        """What a client has sent does not change what the proxy has added."""
        self.assertEqual(bare(f"{made_up}, 192.0.2.1")[0], "192.0.2.1")
        self.assertEqual(bare(made_up, "192.0.2.1")[0], "192.0.2.1")


class ForwardedTests(SynchronousTestCase):
    """What ``Forwarded`` tells (RFC 7239)."""

    def test_examples(self) -> None:
        """The examples of the RFC mean what it says."""
        examples: dict[str, list[str | None]] = {
            'for="_gazonk"': [None],
            'For="[2001:db8:cafe::17]:4711"': ["2001:db8:cafe::17"],
            "for=192.0.2.60;proto=http;by=203.0.113.43": ["192.0.2.60"],
            "for=192.0.2.43, for=198.51.100.17": ["198.51.100.17", "192.0.2.43"],
            "for=_hidden, for=_SEVKISEK": [None, None],
        }
        for value, expected in examples.items():
            self.assertEqual(elements(value), expected, value)
        self.assertEqual(
            elements("for=192.0.2.43", 'for="[2001:db8:cafe::17]", for=unknown'),
            [None, "2001:db8:cafe::17", "192.0.2.43"],
        )

    def test_quotes(self) -> None:
        """Commas, semicolons and escapes in quotes are part of what is quoted."""
        for value in (
            'for=192.0.2.1;host="a,for=6.6.6.6"',
            'for=192.0.2.1;host="a;for=6.6.6.6"',
            r'for=192.0.2.1;host="a\",for=6.6.6.6;x=\""',
            r'host="\\";for=192.0.2.1',
            r'for="192\.0.2.1"',
            'for="192.0.2.1:80"',
        ):
            self.assertEqual(elements(value), ["192.0.2.1"], value)

    def test_lenient(self) -> None:
        """Blanks and missing quotes, of which some proxies know nothing, are taken."""
        for value in (
            "proto=https; for=192.0.2.1 ;",
            "for=192.0.2.1:80",
            "for=[2001:db8::1]:80",
        ):
            self.assertNotIn(None, elements(value), value)

    def test_malformed(self) -> None:
        """An element that is malformed, or does not say for whom, is nobody's."""
        for value in (
            "192.0.2.1",
            "for",
            "for=",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            'for="192.0.2.1',
            'for=192.0.2.1"',
            'for=""',
            r'for="192.0.2.1\"',
            "by=192.0.2.1",
            "xfor=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;FOR=192.0.2.1",
            "for=192.0.2.1 proto=http",
            "for=192.0.2.1;;=",
            ";",
        ):
            self.assertEqual(elements(value), [None], value)

    def test_other_header(self) -> None:
        """Only the header that is asked for counts: a client may send the other one."""
        self.assertEqual(told("X-Forwarded-For", "192.0.2.1", header=FORWARDED), [])
        self.assertEqual(
            told("Forwarded", "for=192.0.2.1", header="x-forwarded-for"), []
        )

    @given(_ANY_VALUE)
    @example('for="')
    @example('for="x\\')
    @example('for=6.6.6.6;x="')
    def test_whatever_is_before(self, made_up: str) -> None:
        """What a client has sent does not change what the proxy has added."""
        for added, address in (
            ("for=192.0.2.1", "192.0.2.1"),
            ('for="[2001:db8::1]:80";proto=https', "2001:db8::1"),
            (r'for=192.0.2.1;host="a\",b"', "192.0.2.1"),
        ):
            self.assertEqual(elements(f"{made_up}, {added}")[0], address)
            self.assertEqual(elements(made_up, added)[0], address)

    @given(st.text('a"\\,;= ', max_size=30))
    def test_whatever_is_quoted(self, host: str) -> None:
        """What a client has a proxy quote does not change whom it speaks for."""
        quoted = host.replace("\\", "\\\\").replace('"', '\\"')
        self.assertEqual(elements(f'for=192.0.2.1;host="{quoted}"'), ["192.0.2.1"])
