# -*- test-case-name: tests.test_corpora -*-
"""
Make corpora of valid signed events (JSONL) and files of filters for nload.

    python -m benchmarks.corpora notes --count 20000 --out notes-20k.jsonl
    python -m benchmarks.corpora mixed --count 100000 --out mixed-100k.jsonl
    python -m benchmarks.corpora filters --events notes-20k.jsonl --out home.jsonl
    python -m benchmarks.corpora verify --events notes-20k.jsonl

Everything is a function of ``--seed`` and ``--now``: signatures are made without
auxiliary randomness. Events ascend in ``created_at`` and end at ``--now``.
"""

from __future__ import annotations

import argparse
import base64
import bisect
import hashlib
import itertools
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from coincurve import PrivateKey, PublicKeyXOnly

WORDS = (
    "the of and to in is that for it as was with be by on not he this are or his "
    "from at which but have an had they you were their one all we can her has there "
    "been if more when will would who so no bitcoin nostr relay zap note client key "
    "sats lightning protocol gm freedom network event signature people think build "
    "open source code today week really good morning world new post thanks love "
    "great work time money fees block mempool node wallet privacy censorship social "
    "media web server test café naïve 日本語 привет 🚀 🤙 💜 ⚡"
).split()
_NO_RANDOMNESS = b"\0" * 32
_ONE_TIME_KEY = -1

Tags = list[list[str]]
Unsigned = tuple[bytes, bytes, str, int, int, Tags, str]
"""Secret key, id, public key, created_at, kind, tags, content."""


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _text(random_: random.Random, length: int) -> str:
    """About ``length`` characters of words with some breaks, quotes and links."""
    words: list[str] = []
    so_far = 0
    while so_far < length:
        word = random_.choice(WORDS)
        words.append(word)
        so_far += len(word) + 1
        chance = random_.random()
        if chance < 0.02:
            words[-1] += ".\n"
        elif chance < 0.03:
            words[-1] = '"' + words[-1] + '"'
        elif chance < 0.035:
            words.append(f"https://example.com/{random_.getrandbits(64):x}.jpg")
            so_far += 40
    return " ".join(words)


class Corpus:
    """
    Authors, some busier than others, and what they write about one another.

    Args:
        seed: Decides everything.
        authors: How many there are; their activity falls off like Zipf's law.
    """

    def __init__(self, seed: int, authors: int) -> None:
        self._random = random.Random(seed)
        self.secret_keys = [
            hashlib.sha256(b"nload author %d %d" % (seed, number)).digest()
            for number in range(authors)
        ]
        self.public_keys = [
            PrivateKey(key).public_key_xonly.format().hex() for key in self.secret_keys
        ]
        self._activity = list(
            itertools.accumulate(1.0 / (number + 20) for number in range(authors))
        )
        self._notes: list[tuple[str, str]] = []

    def _author(self) -> int:
        chance = self._random.random() * self._activity[-1]
        return bisect.bisect_left(self._activity, chance)

    def _earlier(self) -> tuple[str, str]:
        """Id and author of an earlier note, mostly a recent one."""
        back = int(self._random.expovariate(1 / 500.0))
        return self._notes[max(0, len(self._notes) - 1 - back)]

    def note(self) -> tuple[int, Tags, str]:
        """A kind 1, half of the time a reply."""
        chance = self._random.random()
        tags: Tags = []
        if self._notes and chance < 0.5:
            root = self._earlier()
            tags.append(["e", root[0], "wss://relay.example.com/", "root"])
            if self._random.random() < 0.5:
                parent = self._earlier()
                tags += [["e", parent[0], "", "reply"], ["p", parent[1]]]
            tags.append(["p", root[1]])
        elif chance < 0.6:
            tags.append(["p", self.public_keys[self._author()]])
        while self._random.random() < 0.3:
            tags.append(["t", self._random.choice(WORDS[40:80])])
        length = max(10, int(self._random.gauss(300, 120)))
        return 1, tags, _text(self._random, length)

    def anything(self, author: int) -> tuple[int, Tags, str, int | None]:
        """
        An event of one of the kinds that relays mostly see.

        Returns:
            Kind, tags, content and who signs it if that is not ``author``.
        """
        random_ = self._random
        chance = random_.random()
        if chance < 0.50 or len(self._notes) < 10:
            return (*self.note(), None)
        if chance < 0.75:
            note = self._earlier()
            tags = [["e", note[0]], ["p", note[1]], ["k", "1"]]
            return 7, tags, random_.choice("+ + + + 🤙 ❤️ 🚀 💜".split()), None
        if chance < 0.81:
            note = self._earlier()
            tags = [["e", note[0], "wss://relay.example.com/"], ["p", note[1]]]
            return 6, tags, "", None
        if chance < 0.85:
            follows = max(20, min(400, int(random_.expovariate(1 / 120.0))))
            follows = min(len(self.public_keys), follows)
            keys = random_.sample(self.public_keys, follows)
            return 3, [["p", key] for key in keys], "", None
        if chance < 0.88:
            return 0, [], self._profile(author), None
        if chance < 0.94:
            return self._zap(author)
        if chance < 0.98:
            recipient = self.public_keys[self._author()]
            sealed = random_.randbytes(random_.choice((500, 900, 1500)))
            content = base64.b64encode(sealed).decode()
            return 1059, [["p", recipient]], content, _ONE_TIME_KEY
        tags = [
            ["d", f"article-{random_.getrandbits(40):x}"],
            ["title", _text(random_, 40)],
            ["published_at", "1700000000"],
            ["t", "nostr"],
            ["t", "longform"],
        ]
        return 30023, tags, _text(random_, random_.randrange(2000, 9000)), None

    def _profile(self, author: int) -> str:
        return _dumps(
            {
                "name": f"user{author}",
                "about": _text(self._random, 120),
                "picture": f"https://example.com/{self._random.getrandbits(64):x}.jpg",
                "lud16": f"user{author}@example.com",
                "nip05": f"user{author}@example.com",
            }
        )

    def _zap(self, author: int) -> tuple[int, Tags, str, int]:
        random_ = self._random
        note = self._earlier()
        request = {
            "kind": 9734,
            "content": "",
            "tags": [
                ["p", note[1]],
                ["e", note[0]],
                ["amount", "21000"],
                ["relays", "wss://relay.example.com/"],
            ],
            "pubkey": self.public_keys[author],
            "created_at": 0,
            "id": f"{random_.getrandbits(256):064x}",
            "sig": f"{random_.getrandbits(512):0128x}",
        }
        tags = [
            ["p", note[1]],
            ["e", note[0]],
            ["P", self.public_keys[author]],
            ["bolt11", f"lnbc210n1p{random_.getrandbits(1000):x}"],
            ["preimage", f"{random_.getrandbits(256):064x}"],
            ["description", _dumps(request)],
        ]
        return 9735, tags, "", random_.randrange(min(8, len(self.public_keys)))

    def unsigned(
        self, what: str, count: int, now: int, span: int
    ) -> Iterator[Unsigned]:
        """
        ``count`` events in ascending order of time.

        Args:
            what: ``notes`` or ``mixed``.
            count: How many.
            now: When the last one is dated, in seconds since 1970.
            span: Over how many seconds they spread.
        """
        latest: dict[tuple[int, int], int] = {}
        for number in range(count):
            created_at = now - span + (number * span) // count
            author = self._author()
            signer: int | None = None
            if what == "notes":
                kind, tags, content = self.note()
            else:
                kind, tags, content, signer = self.anything(author)
            if kind in (0, 3):
                # Never two versions of one author's list in the same second.
                if latest.get((author, kind)) == created_at:
                    kind, tags, content = self.note()
                else:
                    latest[author, kind] = created_at
            if signer == _ONE_TIME_KEY:
                secret = self._random.randbytes(32)
                public = PrivateKey(secret).public_key_xonly.format().hex()
            else:
                who = author if signer is None else signer
                secret, public = self.secret_keys[who], self.public_keys[who]
            preimage = _dumps([0, public, created_at, kind, tags, content])
            event_id = hashlib.sha256(preimage.encode()).digest()
            if kind == 1:
                self._notes.append((event_id.hex(), public))
            yield secret, event_id, public, created_at, kind, tags, content


_keys: dict[bytes, PrivateKey] = {}


def _sign(batch: list[Unsigned]) -> list[str]:
    """The events of ``batch`` as JSON, signed. Runs in a process of its own."""
    lines = []
    for secret, event_id, public, created_at, kind, tags, content in batch:
        key = _keys.get(secret)
        if key is None:
            key = PrivateKey(secret)
            if len(_keys) < 50000:
                _keys[secret] = key
        event = {
            "id": event_id.hex(),
            "pubkey": public,
            "created_at": created_at,
            "kind": kind,
            "tags": tags,
            "content": content,
            "sig": key.sign_schnorr(event_id, _NO_RANDOMNESS).hex(),
        }
        lines.append(_dumps(event))
    return lines


def _batches(events: Iterable[Unsigned], size: int) -> Iterator[list[Unsigned]]:
    remaining = iter(events)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def write_events(
    what: str,
    path: Path,
    *,
    count: int,
    authors: int = 2000,
    seed: int = 1,
    now: int | None = None,
    span: int = 86400,
    jobs: int | None = None,
) -> None:
    """
    Write a corpus to ``path``, one event a line.

    Args:
        what: ``notes`` or ``mixed``.
        path: Where to; an existing file is replaced once the new one is complete.
        count: How many events.
        authors: How many authors.
        seed: Same seed and ``now``, same bytes.
        now: When the last event is dated; None for the present.
        span: Over how many seconds the events spread.
        jobs: Processes that sign; None for one per core.
    """
    now = int(time.time()) if now is None else now
    events = Corpus(seed, authors).unsigned(what, count, now, span)
    partial = path.with_name(path.name + ".tmp")
    with (
        partial.open("w", encoding="utf-8") as file,
        multiprocessing.Pool(jobs) as pool,
    ):
        for lines in pool.imap(_sign, _batches(events, 500)):
            file.write("\n".join(lines) + "\n")
    partial.replace(path)


class FilterMaker:
    """
    Filters that ask for what a corpus holds.

    Args:
        events: The corpus.
        seed: Decides which filters.
    """

    def __init__(self, events: Path, seed: int) -> None:
        self._random = random.Random(seed)
        authors: dict[str, int] = {}
        self._ids: list[str] = []
        self._e: list[str] = []
        self._p: list[str] = []
        with events.open(encoding="utf-8") as file:
            for line in file:
                event = json.loads(line)
                author = event["pubkey"]
                authors[author] = authors.get(author, 0) + (event["kind"] != 1059)
                self._ids.append(event["id"])
                for tag in event["tags"]:
                    if tag[0] == "e":
                        self._e.append(tag[1])
                    elif tag[0] == "p" and event["kind"] != 3:
                        self._p.append(tag[1])
        self._authors = [author for author, count in authors.items() if count]

    def make(self, what: str) -> dict[str, Any]:
        """One filter of one of :data:`FILTER_TYPES`."""
        random_ = self._random
        if what == "home":
            follows = min(len(self._authors), random_.randint(100, 500))
            authors = random_.sample(self._authors, follows)
            return {"authors": authors, "kinds": [1, 6], "limit": 100}
        if what == "ids":
            return {"ids": random_.sample(self._ids, random_.choice((1, 1, 1, 5, 20)))}
        if what == "e":
            notes = random_.sample(self._e, random_.choice((1, 1, 5, 20)))
            return {"#e": notes, "kinds": [1, 6, 7, 9735], "limit": 500}
        if what == "p":
            person = random_.choice(self._p)
            return {"#p": [person], "kinds": [1, 6, 7, 9735], "limit": 100}
        if what == "recent":
            return {"kinds": [1], "limit": random_.choice((20, 50, 100, 500))}
        if what == "author":
            author = random_.choice(self._authors)
            return {"authors": [author], "kinds": [1], "limit": 50}
        kinds = ("home", "ids", "e", "p", "recent", "author")
        return self.make(random_.choices(kinds, (20, 25, 25, 10, 5, 15))[0])


FILTER_TYPES = ("home", "ids", "e", "p", "recent", "author", "mix")


def write_filters(
    events: Path, what: str, path: Path, *, count: int = 2000, seed: int = 1
) -> None:
    """Write ``count`` filters of one of :data:`FILTER_TYPES` to ``path``."""
    maker = FilterMaker(events, seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            file.write(_dumps(maker.make(what)) + "\n")


def faults(events: Path, sample: int = 1000) -> list[str]:
    """What is wrong with a corpus: all ids are checked and ``sample`` signatures."""
    lines = events.read_text(encoding="utf-8").splitlines()
    chosen = set(random.Random(1).sample(range(len(lines)), min(sample, len(lines))))
    seen: set[str] = set()
    found = []
    for number, line in enumerate(lines):
        event = json.loads(line)
        if event["id"] in seen:
            found.append(f"line {number + 1}: duplicate id")
        seen.add(event["id"])
        members = ("pubkey", "created_at", "kind", "tags", "content")
        preimage = _dumps([0, *(event[member] for member in members)])
        event_id = hashlib.sha256(preimage.encode()).digest()
        key = PublicKeyXOnly(bytes.fromhex(event["pubkey"]))
        signature = bytes.fromhex(event["sig"])
        if event_id.hex() != event["id"] or (
            number in chosen and not key.verify(signature, event_id)
        ):
            found.append(f"line {number + 1}: bad")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("notes", "mixed"):
        command = commands.add_parser(name)
        command.add_argument("--count", type=int, default=20000)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--authors", type=int, default=2000)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--now", type=int)
        command.add_argument("--span", type=int, default=86400)
        command.add_argument("--jobs", type=int)
    command = commands.add_parser("filters")
    command.add_argument("--events", type=Path, required=True)
    command.add_argument("--type", choices=FILTER_TYPES, default="mix")
    command.add_argument("--count", type=int, default=2000)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--seed", type=int, default=1)
    command = commands.add_parser("verify")
    command.add_argument("--events", type=Path, required=True)
    command.add_argument("--sample", type=int, default=1000)
    return parser.parse_args()


def main() -> None:
    """Do what the command line says."""
    options = vars(_arguments())
    command = options.pop("command")
    if command == "verify":
        found = faults(options["events"], options["sample"])
        sys.exit("\n".join(found) if found else 0)
    path = options.pop("out")
    if command == "filters":
        write_filters(options.pop("events"), options.pop("type"), path, **options)
    else:
        write_events(command, path, **options)


if __name__ == "__main__":
    main()
