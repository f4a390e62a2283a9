"""Tests for :mod:`nostrtx.storage.lmdb.tag_changes`."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import indexed_tags
from nostrtx.storage.lmdb.tag_changes import is_plain, slot_tags, tag_changes
from tests.storage.events import ALICE, make_event

_Tags = list[list[str]]

#: Values that look like the JSON of tags.
_TRAPS = (
    "],[",
    '"],["',
    '],["p","x"],[',
    "\\",
    '\\"],[',
    ']],"content":"',
    "[",
    "]",
    ",",
    "",
    "é\n\x01",
    "plain",
)


class TagChangesTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.lmdb.tag_changes.tag_changes`."""

    def assert_right(self, old_tags: _Tags, new_tags: _Tags, kind: int = 3) -> None:
        """Assert that the changes lead from the old tags to the new."""
        old = make_event(kind=kind, tags=old_tags, content=']],"content":"],["')
        new = make_event(kind=kind, tags=new_tags)
        are_plain = is_plain(old) and is_plain(new)
        removed, added = tag_changes(old.raw, new, are_plain)
        before, after = slot_tags(old), slot_tags(new)
        self.assertEqual(removed, before - after)
        self.assertLessEqual(after - before, added)
        self.assertLessEqual(added, after)

    def test_near_copy(self) -> None:
        """One name less and one more changes two pairs."""
        names = [["p", f"{number:064x}"] for number in range(400)]
        old = make_event(kind=3, tags=names[:-1])
        new = make_event(kind=3, tags=names[1:])
        self.assertTrue(is_plain(old))
        removed, added = tag_changes(old.raw, new, True)
        self.assertEqual(removed, {("p", names[0][1])})
        self.assertEqual(added, {("p", names[-1][1])})

    def test_all_different(self) -> None:
        """Lists that have nothing in common are exchanged."""
        self.assert_right(
            [["p", f"{number:064x}"] for number in range(50)],
            [["p", f"{number:064x}"] for number in range(50, 120)],
        )

    def test_other_part_changes(self) -> None:
        """A pair stays while any tag begins with it."""
        for new in (
            [["p", "x", "relay"]],
            [["p", "x"], ["p", "y"]],
            [["p", "x", "relay"], ["p", "x"]],
            [["q", "x", "p", "x"]],
            [["p", "xx"]],
            [["p"]],
            [],
        ):
            self.assert_right([["p", "x"], ["p", "x", "relay"]], new)
            self.assert_right(new, [["p", "x"], ["p", "x", "relay"]])

    def test_not_plain(self) -> None:
        """Values that look like what parts tags are noticed."""
        for value in ("],[", '"],["', 'x"],["y'):
            self.assertFalse(is_plain(make_event(kind=3, tags=[["p", value]])), value)
        self.assertTrue(is_plain(make_event(kind=3, tags=[["p", "x"]], content="],[")))

    def test_any_tags(self) -> None:
        """Whatever the tags hold, the changes are right."""
        random = Random(5)

        def some_tags() -> _Tags:
            return [
                [
                    random.choice("pdtx") * random.choice((1, 1, 2)),
                    *random.choices(_TRAPS, k=random.randrange(3)),
                ]
                for _ in range(random.choice((0, 1, 2, 5, 40)))
            ]

        for _ in range(1500):
            self.assert_right(some_tags(), some_tags(), random.choice((3, 0, 30000)))
            same = some_tags()
            self.assert_right(same, random.sample(same, len(same)) + some_tags()[:1])


class SlotTagsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.lmdb.tag_changes.slot_tags`."""

    def test_replaceable(self) -> None:
        """The tags of a replaceable event are those that are indexed."""
        event = make_event(pubkey=ALICE, kind=3, tags=[["d", "x"], ["p", "y"], ["zz"]])
        self.assertEqual(slot_tags(event), indexed_tags(event))

    def test_other_d(self) -> None:
        """Values of ``d`` that are not the address are named as such, too."""
        event = make_event(kind=30000, tags=[["d", "x"], ["d", "y"], ["d", "x"]])
        self.assertEqual(slot_tags(event), {("d", "x"), ("d", "y"), ("", "y")})
        unnamed = make_event(kind=30000, tags=[["d"], ["d", "y"]])
        self.assertEqual(slot_tags(unnamed), {("d", ""), ("d", "y"), ("", "y")})
