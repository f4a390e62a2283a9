"""Tests for the settings: :mod:`nostrtx.settings`."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.consistency import check_consistency
from nostrtx.nostr.bech32 import Nsec, encode
from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.file import (
    ConfigError,
    load_settings,
    parse_settings,
    read_settings,
)
from nostrtx.settings.limits import IngestSettings, LimitSettings
from nostrtx.settings.policies import ListSettings
from nostrtx.settings.programs import ProgramSettings
from nostrtx.settings.tree import Settings

_ROOT = Path(__file__).parents[2]


def _tables() -> dict[str, dict[str, Any]]:
    """Every setting with its default, table by table, of those that stand once."""
    tables: dict[str, dict[str, Any]] = {
        name: attrs.asdict(table)
        for name, table in attrs.asdict(Settings(), recurse=False).items()
        if attrs.has(type(table))
    }
    return tables


def _repeated() -> dict[str, dict[str, Any]]:
    """Likewise of tables that may stand more than once, by how the file begins one."""
    tables = {}
    for field in attrs.fields(attrs.resolve_types(Settings)):
        form = get_origin(field.type)
        if form is not None:
            example = get_args(field.type)[form is dict]()
            heading = f"{field.name}.NAME" if form is dict else f"[{field.name}]"
            tables[heading] = attrs.asdict(example, recurse=False)
    return tables


def _shown(default: object) -> str:
    """A default as the documentation spells it."""
    if default is None:
        return "-"
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, bool):
        return str(default).lower()
    return json.dumps(default) if isinstance(default, tuple) else str(default)


def _example() -> str:
    """The example file."""
    return (_ROOT / "nostrtx.example.toml").read_text(encoding="utf-8")


def _uncommented() -> str:
    """The example file with what stands in it only to show how it is written."""
    return re.sub(r"(?m)^#(?=[\[a-z])", "", _example())


class ParseSettingsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.settings.file.parse_settings`."""

    def assert_faults(self, text: str, *lines: str) -> None:
        """Assert that ``text`` is refused with exactly these lines."""
        error = self.assertRaises(ConfigError, parse_settings, text)
        self.assertEqual(str(error).splitlines(), list(lines))

    def test_empty(self) -> None:
        """An empty text means the defaults, and so does an empty table."""
        self.assertEqual(parse_settings(""), Settings())
        self.assertEqual(parse_settings("[limits]\n[relay]\n"), Settings())

    def test_values(self) -> None:
        """What is stated replaces its default and nothing else."""
        settings = parse_settings(
            """
            listen.endpoints = ["tcp:1", "unix:/x"]
            [limits]
            max_filters = 7
            [relay]
            name = "é"
            pubkey = "00000000000000000000000000000000000000000000000000000000000000ff"
            """
        )
        self.assertEqual(settings.listen, ListenSettings(("tcp:1", "unix:/x")))
        self.assertEqual(settings.limits, LimitSettings(max_filters=7))
        self.assertEqual(settings.relay.name, "é")
        self.assertEqual(settings.relay.pubkey, "00" * 31 + "ff")
        self.assertEqual(settings.ingest, IngestSettings())

    def test_integers_are_numbers(self) -> None:
        """A number of seconds may be written without a point."""
        settings = parse_settings("[timing]\nping_seconds = 0\nhandshake_seconds = 3")
        self.assertEqual(settings.timing.handshake_seconds, 3.0)
        self.assertIs(type(settings.timing.ping_seconds), float)

    def test_frozen(self) -> None:
        """Settings do not change after they were read."""
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            Settings().limits.max_filters = 1  # type: ignore[misc]

    def test_urls(self) -> None:
        """A URL of the relay is one that clients can name when they authenticate."""
        settings = parse_settings(
            """
            [relay]
            url = "wss://relay.example.com"
            other_urls = ["ws://abc.onion", "wss://relay.example.com:8443/nostr"]
            """
        )
        self.assertEqual(settings.relay.url, "wss://relay.example.com")
        self.assertEqual(len(settings.relay.urls), 3)
        reason = "a URL begins with ws or wss, then ://"
        for text in ("relay.example.com", "https://relay.example.com"):
            self.assert_faults(f"relay.url = '{text}'", f"relay.url: {reason}")
            self.assert_faults(
                f"relay.other_urls = ['ws://a.example', '{text}']",
                f"relay.other_urls: {reason}",
            )

    def test_not_toml(self) -> None:
        """What is not TOML is refused with the place."""
        error = self.assertRaises(
            ConfigError, parse_settings, "[relay]\nname\n[listen]"
        )
        self.assertIn("not TOML", str(error))
        self.assertIn("(at line 2, column 5)", str(error))

    def test_unknown_names(self) -> None:
        """Names that mean nothing are refused: they may be slips of the pen."""
        self.assert_faults("[policy]\nx = 1", "policy: there is no such table")
        self.assert_faults("[limits]\nx = 1", "limits.x: there is no such setting")

    def test_slips(self) -> None:
        """What was meant is told where it can be guessed: a name, or another table."""
        for text, fault in (
            ("[limit]\nx = 1", "limit: there is no such table; perhaps limits"),
            (
                "workers = 2",
                "workers: there is no such table; perhaps cluster.workers",
            ),
            (
                "[limits]\nmax_filtres = 1",
                "limits.max_filtres: there is no such setting; perhaps max_filters",
            ),
            (
                "[listen]\nworkers = 2",
                "listen.workers: there is no such setting; perhaps cluster.workers",
            ),
            (
                "[[rules]]\nkind = [4]",
                "rules[0].kind: there is no such setting; perhaps kinds",
            ),
            # There are several of that name.
            ("enabled = true", "enabled: there is no such table"),
        ):
            self.assert_faults(text, fault)

    def test_wrong_tables(self) -> None:
        """A table must be one."""
        self.assert_faults("limits = 3", "limits: must be a table")
        self.assert_faults("[[store]]", "store: must be a table")

    def test_wrong_forms(self) -> None:
        """Each value must have the form of its default."""
        for name, value, complaint in (
            ("limits.max_filters", "'1'", 'must be an integer, not "1"'),
            ("limits.max_filters", "1.0", "must be an integer, not 1.0"),
            ("limits.max_filters", "true", "must be an integer, not true"),
            ("timing.ping_seconds", "true", "must be a number, not true"),
            ("timing.ping_seconds", "nan", "must be a number, not NaN"),
            ("timing.ping_seconds", "inf", "must be a number, not Infinity"),
            ("relay.name", "5", "must be a string, not 5"),
            ("relay.name", "['a']", 'must be a string, not ["a"]'),
            ("relay.name", "{x = 1}", 'must be a string, not {"x": 1}'),
            ("listen.endpoints", "'t'", 'must be an array of strings, not "t"'),
            (
                "listen.endpoints",
                "['t', 2]",
                'must be an array of strings, not ["t", 2]',
            ),
        ):
            self.assert_faults(f"{name} = {value}", f"{name}: {complaint}")
        error = self.assertRaises(
            ConfigError, parse_settings, f"timing.ping_seconds = {'9' * 400}"
        )
        self.assertIn("timing.ping_seconds: must be a number", str(error))

    def test_out_of_range(self) -> None:
        """Each value must be in its range, of which the edge is part."""
        for name, value, complaint in (
            ("limits.max_filters", "0", "must be at least 1, not 0"),
            ("limits.max_connections", "-1", "must be at least 0, not -1"),
            ("ingest.verifier_processes", "-2", "must be at least -1, not -2"),
            ("timing.handshake_seconds", "0", "must be more than 0, not 0.0"),
            ("store.max_gigabytes", "65537", "must be at most 65536, not 65537"),
            ("listen.endpoints", "[]", "must name at least one"),
        ):
            self.assert_faults(f"{name} = {value}", f"{name}: {complaint}")
        edges = "limits.max_filters = 1\nlimits.max_connections = 0\n"
        self.assertEqual(parse_settings(edges).limits.max_filters, 1)

    def test_cluster(self) -> None:
        """Redis and Sentinels are named by URLs; what is none is not shown."""
        for name, value, complaint in (
            ("redis", "'redis://:pa55@/0'", "must name a host"),
            ("redis", "['redis://:pa55@here']", "must be a string"),
            ("sentinels", "['here', 'redis://:pa55@here/1']", 'must be "host:port"'),
            ("sentinels", "'redis://:pa55@here'", "must be an array of strings"),
            ("node", "'a node'", "must be up to 64 of a-z"),
            ("channel", "''", "must be 1 to 64 of a-z"),
        ):
            error = self.assertRaises(
                ConfigError, parse_settings, f"cluster.{name} = {value}"
            )
            self.assertIn(f"cluster.{name}: {complaint}", str(error))
            self.assertNotIn("pa55", str(error))
        settings = parse_settings(
            "cluster.redis = 'redis://:pa55@here'\ncluster.sentinels = ['a', 'b:1']"
        )
        self.assertNotIn("pa55", repr(settings))

    def test_store_urls(self) -> None:
        """A store's URL may hold a password and is never shown, wherever it stands."""
        url = "postgresql://relay:pa55@here/relay"
        for text, complaint in (
            (f"store.url = ['{url}']", "store.url: must be a string"),
            (f"store.replica_url = ['{url}']", "store.replica_url: must be a string"),
            (f"store = '{url}'", "store: must be a table"),
        ):
            self.assert_faults(text, complaint)
        settings = parse_settings(f"[store]\nurl = '{url}'\nreplica_url = '{url}'")
        self.assertEqual((settings.store.url, settings.store.replica_url), (url, url))
        self.assertNotIn("pa55", repr(settings))

    def test_proxies(self) -> None:
        """Trusted proxies are addresses, whole networks, and ``unix``."""
        for text in ("10.0.0.0/8", "10.0.0.1", "2001:db8::/32", "::1", "unix"):
            settings = parse_settings(f"listen.trusted_proxies = ['{text}']")
            self.assertEqual(settings.listen.trusted_proxies, (text,))
        for text in ("10.0.0.1/8", "10.0.0", "proxy.example", "unix:/run/x", ""):
            error = self.assertRaises(
                ConfigError, parse_settings, f"listen.trusted_proxies = ['{text}']"
            )
            self.assertIn(
                "listen.trusted_proxies: must hold networks such as 10.0.0.0/8: ",
                str(error),
            )
        self.assert_faults(
            "listen.client_header = 'X-Real-IP'",
            'listen.client_header: must be one of "x-forwarded-for", "forwarded",'
            ' not "X-Real-IP"',
        )

    def test_keys(self) -> None:
        """The operator's key is empty or 64 lower-case hexadecimal digits."""
        for text in ("ab", "AB" * 32, "ab" * 32 + "a", "ab" * 31 + "ag"):
            self.assert_faults(
                f"relay.pubkey = '{text}'",
                f'relay.pubkey: must be 64 lower-case hexadecimal digits, not "{text}"',
            )
        self.assertEqual(parse_settings("relay.pubkey = ''").relay.pubkey, "")

    def test_keys_as_people_write_them(self) -> None:
        """The operator's key may be an npub; it is kept in hexadecimal."""
        npub = "npub1van3ayyyqdcls4lels8dt5lsuj8qtp246p8qrfhxjyaagwly3gysjyrky6"
        key = "67671e90840371f857f9fc0ed5d3f0e48e058555d04e01a6e6913bd43be48a09"
        for text in (npub, f"nostr:{npub}", npub.upper()):
            settings = parse_settings(f"relay.pubkey = '{text}'")
            self.assertEqual(settings.relay.pubkey, key)

    def test_secret_keys(self) -> None:
        """A secret key is refused where a public one is meant, and not shown."""
        nsec = encode(Nsec(bytes(31) + b"\7"))
        for text in (nsec, nsec[:-1] + "q"):
            error = self.assertRaises(
                ConfigError, parse_settings, f"relay.pubkey = '{text}'"
            )
            self.assertIn("relay.pubkey: ", str(error))
            self.assertNotIn(text, str(error))

    def test_names(self) -> None:
        """Names of the domain stand in a table, each with a key of either form."""
        npub = "npub1van3ayyyqdcls4lels8dt5lsuj8qtp246p8qrfhxjyaagwly3gysjyrky6"
        settings = parse_settings(f"[nip05.names]\n_ = '{npub}'\nalice = '{'ab' * 32}'")
        self.assertEqual(settings.nip05.names, {"_": npub, "alice": "ab" * 32})
        for text, complaint in (
            ("names = 5", "must be a table of strings, not 5"),
            ("names = {a = 5}", 'must be a table of strings, not {"a": 5}'),
            ("names = {A = 'ab'}", '"A" is not made of a-z, 0-9, -, _ and .'),
        ):
            self.assert_faults(f"[nip05]\n{text}", f"nip05.names: {complaint}")
        nsec = encode(Nsec(bytes(31) + b"\7"))
        error = self.assertRaises(
            ConfigError, parse_settings, f"[nip05.names]\nalice = '{nsec}'"
        )
        self.assertIn("nip05.names: alice: this is a secret key", str(error))
        self.assertNotIn(nsec, str(error))

    def test_files_beside_the_store(self) -> None:
        """What the relay keeps lies in the store's directory unless it is said."""
        for text, key_file in (
            ("", "data/relay.key"),
            ("store.url = 'lmdb:/x/y'", "/x/y/relay.key"),
            ("store.url = 'memory:'", None),
            ("store.url = 'memory:'\nrelay.key_file = '/k'", "/k"),
            ("store.url = 'postgresql:///x'", None),
        ):
            self.assertEqual(parse_settings(text).key_file, key_file)
        settings = parse_settings("membership.file = 'm'")
        self.assertEqual(settings.membership_file, "m")
        self.assertEqual(Settings().membership_file, "data/membership.sqlite")
        shared = parse_settings("store.url = 'postgresql:///x'")
        self.assertIsNone(shared.membership_file)
        self.assertFalse(Settings().signs)

    def test_origins(self) -> None:
        """An origin has a scheme and a host, perhaps a port, and never a path."""
        for text in (
            "https://client.example",
            "http://localhost:3000",
            "https://[::1]:8443",
            "moz-extension://0a1b-2c",
            "null",
        ):
            settings = parse_settings(f"websocket.allowed_origins = ['{text}']")
            self.assertEqual(settings.websocket.allowed_origins, (text,))
        for text in (
            "client.example",
            "https://client.example/",
            "https://client.example/app",
            "https://*.example",
            "https://user@client.example",
            "*",
            "",
        ):
            self.assert_faults(
                f"websocket.allowed_origins = ['{text}']",
                "websocket.allowed_origins: must hold origins such as"
                f' "https://example.com", without a path, not "{text}"',
            )

    def test_shared_store(self) -> None:
        """Nodes share a store in PostgreSQL, and no other."""
        for url, is_shared in (
            ("postgresql://relay@host/nostr", True),
            ("postgres:///nostr", True),
            ("lmdb:postgresql://x", False),
            ("memory:", False),
        ):
            settings = parse_settings(f"store.url = '{url}'")
            self.assertIs(settings.store.is_shared, is_shared)

    def test_all_faults_at_once(self) -> None:
        """Every fault is listed, in the order and the words of the file."""
        self.assert_faults(
            """
            nothing = 1
            [listen]
            endpoints = []
            [limits]
            max_limit = "x"
            max_filters = 0
            max_tags = 1
            [store]
            url = 1
            """,
            "nothing: there is no such table",
            "listen.endpoints: must name at least one",
            'limits.max_limit: must be an integer, not "x"',
            "limits.max_filters: must be at least 1, not 0",
            "limits.max_tags: there is no such setting",
            "store.url: must be a string",
        )

    def test_values_made_in_code(self) -> None:
        """The ranges hold as well where settings are not read from a file."""
        for make in (
            lambda: LimitSettings(max_filters=0),
            lambda: ListenSettings(()),
            lambda: IngestSettings(verifier_processes=-2),
        ):
            self.assertRaises(ValueError, make)


class LoadSettingsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.settings.file.load_settings`."""

    def test_no_file(self) -> None:
        """Without a file there are the defaults."""
        self.assertEqual(load_settings(None), Settings())
        self.assertEqual(load_settings(""), Settings())

    def test_file(self) -> None:
        """A file is read as UTF-8."""
        path = self.mktemp()
        Path(path).write_text("[relay]\nname = 'é'\n", encoding="utf-8")
        self.assertEqual(load_settings(path).relay.name, "é")

    def test_marked(self) -> None:
        """A mark of the encoding, as editors on Windows leave it, does not matter."""
        path = self.mktemp()
        Path(path).write_bytes(b"\xef\xbb\xbf[relay]\r\nname = 'x'\r\n")
        self.assertEqual(load_settings(path).relay.name, "x")

    def test_missing(self) -> None:
        """A file that is named must be there."""
        path = self.mktemp()
        error = self.assertRaises(ConfigError, load_settings, path)
        self.assertEqual(str(error), f"{path}: No such file or directory")

    def test_not_text(self) -> None:
        """A file in another encoding is refused."""
        path = self.mktemp()
        Path(path).write_bytes(b"[relay]\nname = '\xe9'\n")
        error = self.assertRaises(ConfigError, load_settings, path)
        self.assertEqual(str(error), f"{path}: not UTF-8")

    def test_faults_name_the_file(self) -> None:
        """Each line of a refusal begins with the file's path."""
        path = self.mktemp()
        Path(path).write_text("a = 1\nb = 2\n")
        error = self.assertRaises(ConfigError, load_settings, path)
        self.assertEqual(
            str(error),
            f"{path}: a: there is no such table\n{path}: b: there is no such table",
        )


class ReadSettingsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.settings.file.read_settings`."""

    def test_what_is_good(self) -> None:
        """Of a file with faults all that is good is there, and each fault is told."""
        path = self.mktemp()
        Path(path).write_text(
            "[limits]\nmax_limit = 0\nmax_filters = 7\n[relais]\n[relay]\nname = 'x'\n"
            "[[programs]]\ncommand = 7\nname = 'p'\n[lists.a]\nof = 'x'\n"
        )
        settings, faults = read_settings(path)
        names = [fault.split(": ")[1] for fault in faults]
        self.assertEqual(
            names, ["limits.max_limit", "relais", "programs[0].command", "lists.a.of"]
        )
        self.assertEqual(settings.limits, LimitSettings(max_filters=7))
        self.assertEqual(settings.relay.name, "x")
        self.assertEqual(settings.programs, (ProgramSettings(name="p"),))
        self.assertEqual(settings.lists, {"a": ListSettings()})

    def test_nothing_good(self) -> None:
        """What is no table counts as if it were not there."""
        path = self.mktemp()
        Path(path).write_text("limits = 7\nlists = 7\nrules = 7\n")
        settings, faults = read_settings(path)
        self.assertEqual((settings, len(faults)), (Settings(), 3))

    def test_unreadable(self) -> None:
        """A file that cannot be read, or is not TOML, is refused as a whole."""
        path = self.mktemp()
        self.assertRaises(ConfigError, read_settings, path)
        Path(path).write_text("[")
        self.assertRaises(ConfigError, read_settings, path)


class DocumentationTests(SynchronousTestCase):
    """Tests that what is written about settings is so."""

    def test_example_is_the_default(self) -> None:
        """The example file changes nothing."""
        settings = load_settings(str(_ROOT / "nostrtx.example.toml"))
        self.assertEqual(settings, Settings())

    def test_example_names_everything(self) -> None:
        """The example file names every setting, in the order of the code."""
        named = [
            (table, list(members))
            for table, members in tomllib.loads(_example()).items()
        ]
        expected = [(table, list(members)) for table, members in _tables().items()]
        self.assertEqual(named, expected)

    def test_example_shows_repeated_tables(self) -> None:
        """Behind ``#``, it shows tables with every setting that may stand often."""
        text = _uncommented().replace("roots = []", f'roots = ["{"ab" * 32}"]')
        settings = parse_settings(text)
        check_consistency(settings)
        self.assertNotEqual(settings, Settings())
        named = tomllib.loads(text)
        for heading, members in _repeated().items():
            self.assertIn(f"\n[{heading.replace('NAME', '')}", text)
            shown = named[heading.strip("[]").partition(".")[0]]
            tables = shown.values() if isinstance(shown, dict) else shown
            self.assertEqual({name for one in tables for name in one}, set(members))

    def test_example_explains_everything(self) -> None:
        """In the example file a comment stands before each table and setting."""
        lines = _example().splitlines()
        explained = 0
        for before, line in pairwise(lines):
            if line and not line.startswith("#"):
                self.assertTrue(before.startswith("#"), line)
                explained += 1
        self.assertEqual(explained, sum(1 + len(m) for m in _tables().values()))

    def test_documentation_has_every_default(self) -> None:
        """The tables of docs/configuration.md hold every setting and its default."""
        text = (_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        for table, members in (_tables() | _repeated()).items():
            self.assertIn(f"### `[{table}]`", text)
            for name, default in members.items():
                self.assertIn(f"| `{name}` | `{_shown(default)}` |", text)
