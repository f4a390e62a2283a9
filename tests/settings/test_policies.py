"""Tests for :mod:`nostrtx.settings.policies`, and for tables that stand often."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.consistency import check_consistency
from nostrtx.nostr.bech32 import Nsec, encode
from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.settings.policies import RuleSettings, name_allowed

_NPUB = "npub1van3ayyyqdcls4lels8dt5lsuj8qtp246p8qrfhxjyaagwly3gysjyrky6"
_KEY = "67671e90840371f857f9fc0ed5d3f0e48e058555d04e01a6e6913bd43be48a09"


class RepeatedTablesTests(SynchronousTestCase):
    """Tests for arrays of tables and tables with names in the settings file."""

    def assert_faults(self, text: str, *lines: str) -> None:
        """Assert that ``text`` is refused with exactly these lines."""
        error = self.assertRaises(ConfigError, parse_settings, text)
        self.assertEqual(str(error).splitlines(), list(lines))

    def test_rules(self) -> None:
        """Rules are kept in the order in which they stand."""
        settings = parse_settings(
            """
            [[rules]]
            kinds = [4, "30000-39999"]
            [[rules]]
            authenticated = false
            trust = 0
            verdict = "accept"
            """
        )
        self.assertEqual(
            settings.rules,
            (
                RuleSettings(kinds=(4, "30000-39999")),
                RuleSettings(authenticated=False, trust=0, verdict="accept"),
            ),
        )

    def test_lists(self) -> None:
        """Lists are found by name, their keys in hexadecimal."""
        settings = parse_settings(
            f"[lists.a]\npubkeys = ['{_NPUB}']\n[lists.b]\nfiles = ['x']\nof = 'words'"
        )
        self.assertEqual(list(settings.lists), ["a", "b"])
        self.assertEqual(settings.lists["a"].pubkeys, (_KEY,))
        self.assertEqual(settings.lists["b"].of, "words")

    def test_faults(self) -> None:
        """A fault says in which table it is, by its name or number from 0."""
        self.assert_faults(
            """
            [lists.a]
            of = "colours"
            [[rules]]
            [[rules]]
            kinds = ["one"]
            nothing = 1
            authenticated = "yes"
            """,
            'lists.a.of: must be one of "pubkeys", "addresses", "words", not "colours"',
            "rules[1].kinds: must hold kinds such as 1 and ranges such as"
            ' "30000-39999", not "one"',
            "rules[1].nothing: there is no such setting",
            'rules[1].authenticated: must be true or false, not "yes"',
        )

    def test_wrong_tables(self) -> None:
        """Rules are an array of tables, and lists are tables with names."""
        self.assert_faults("[rules]", "rules: must be an array of tables, as [[rules]]")
        self.assert_faults("rules = [1]", "rules[0]: must be a table")
        self.assert_faults("[[lists]]", "lists: must hold tables, each with a name")
        self.assert_faults("[lists]\na = 1", "lists.a: must be a table")

    def test_values(self) -> None:
        """Each setting of a rule and of a list must be what it can be."""
        for text, complaint in (
            ("[[rules]]\nkinds = [65536]", "must hold kinds from 0 to 65535"),
            ("[[rules]]\nkinds = ['2-1']", "must hold kinds from 0 to 65535"),
            ("[[rules]]\nkinds = [1.5]", "must be an array of integers and strings"),
            ("[[rules]]\ntrust = 5", "must be at most 4"),
            ("[[rules]]\nverdict = 'maybe'", 'must be one of "accept"'),
            ("[[rules]]\nname = 'a b'", "must be up to 64 of"),
            ("[[rules]]\nwords = ['*']", "must not hold an empty word"),
            ("[[rules]]\naddresses = ['1.2.3.4/8']", "must hold names of lists or"),
            ("[[rules]]\nauthors = ['a b']", "must hold names of lists or public"),
            ("[lists.a]\nnostr = ['1:ab']", "must hold addresses of Nostr lists"),
            ("[lists.a]\naddresses = ['a']", "must hold networks such as"),
            (f"[lists.a]\nwords = ['{'x' * 257}']", "at most 256 characters"),
            ("[trust]\ndepth = 0", "must be at least 1"),
        ):
            error = self.assertRaises(ConfigError, parse_settings, text)
            self.assertIn(complaint, str(error))


class TableFaultsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.settings.policies.table_faults`."""

    def faults(self, text: str) -> list[str]:
        """What is wrong with settings that can be read."""
        settings = parse_settings(text)
        try:
            check_consistency(settings)
        except ConfigError as error:
            return str(error).splitlines()
        return []

    def test_good(self) -> None:
        """A list may be named by any rule, wherever it stands."""
        text = (
            f"[trust]\nroots = ['{_NPUB}']\n[[rules]]\nauthors = ['a', '{_NPUB}']\n"
            "trust = 2\naddresses = ['a', '10.0.0.0/8']\nwords = ['a', 'b']\n"
            "[lists.a]\n"
        )
        self.assertEqual(self.faults(text), [])

    def test_all_faults_at_once(self) -> None:
        """What is named must exist, and conditions must fit one another."""
        self.assertEqual(
            self.faults(
                """
                [lists."a b"]
                [[rules]]
                name = "x"
                authors = ["nobody"]
                addresses = ["nowhere"]
                trust = 1
                pow = 5
                [[rules]]
                name = "x"
                verdict = "pow"
                on = "request"
                words = ["w"]
                tags = ["t"]
                """
            ),
            [
                "lists.a b: a list's name must be up to 64 of a-z, A-Z, 0-9, -, _ and"
                " .",
                'rules[0].authors: there is no list "nobody"',
                'rules[0].addresses: there is no list "nowhere"',
                "rules[0].trust: needs trust.roots",
                'rules[0].pow: must be stated with the verdict "pow", and only there',
                'rules[1].name: another rule is called "x"',
                'rules[1].pow: must be stated with the verdict "pow", and only there',
                'rules[1].verdict: must not be "pow" on requests',
                "rules[1].words: must not be stated on requests",
                "rules[1].tags: must not be stated on requests",
            ],
        )

    def test_allowed(self) -> None:
        """Keys that were allowed by name are a list that nobody can state."""
        good = '[[rules]]\nnot_authors = ["allowed"]'
        self.assertEqual(self.faults(good), [])
        self.assertTrue(name_allowed(parse_settings(good).rules))
        self.assertFalse(name_allowed([RuleSettings(words=("allowed",))]))
        (fault,) = self.faults("[lists.allowed]")
        self.assertTrue(fault.startswith("lists.allowed: "), fault)

    def test_secret_keys(self) -> None:
        """A secret key where a public one belongs is not shown."""
        nsec = encode(Nsec(bytes(31) + b"\7"))
        (fault,) = self.faults(f"[[rules]]\nauthors = ['{nsec}']")
        self.assertIn("rules[0].authors: this is a secret key", fault)
        self.assertNotIn(nsec, fault)
