"""What is published and asked for: corpora, filters, and a store of a million."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from coincurve import PrivateKey

from benchmarks.corpora import write_events, write_filters
from benchmarks.running import CORPORA, HERE

_TOO_OLD_SECONDS = 20 * 3600
_MILLION = 1_000_000


def _made(name: str, make: Callable[[Path], None], *, ages: bool = True) -> Path:
    """The file of that name; made now if it is missing or, if it ages, too old."""
    path = CORPORA / name
    if path.exists():
        age = time.time() - path.stat().st_mtime
        if not ages or age < _TOO_OLD_SECONDS:
            return path
    CORPORA.mkdir(exist_ok=True)
    print(f"Making {name} ...", file=sys.stderr)
    make(path)
    return path


def notes_20k() -> Path:
    """20,000 notes of 2,000 authors, about 810 bytes each."""
    return _made(
        "notes-20k.jsonl", lambda path: write_events("notes", path, count=20000)
    )


def notes_100k() -> Path:
    """100,000 notes of 2,000 other authors."""
    return _made(
        "notes-100k.jsonl",
        lambda path: write_events("notes", path, count=100_000, seed=2),
    )


def filters(what: str) -> Path:
    """2,000 filters of one type that ask for what is in :func:`notes_20k`."""
    events = notes_20k()
    path = CORPORA / f"filters-{what}.jsonl"
    if path.exists() and path.stat().st_mtime < events.stat().st_mtime:
        path.unlink()
    return _made(path.name, lambda path: write_filters(events, what, path), ages=False)


def _million_events() -> Path:
    return _made(
        "mixed-1m.jsonl",
        lambda path: write_events(
            "mixed", path, count=_MILLION, authors=20_000, seed=4, span=90 * 86400
        ),
        ages=False,
    )


def million_filters(what: str) -> Path:
    """2,000 filters of one type that ask for what is in :func:`million_store`."""
    return _made(
        f"filters-1m-{what}.jsonl",
        lambda path: write_filters(_million_events(), what, path),
        ages=False,
    )


def million_store() -> Path:
    """A store of a million events of all kinds; made anew when its code changes."""
    sources = sorted((HERE.parent / "nostrtx" / "storage" / "lmdb").glob("*.py"))
    code = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    path = CORPORA / f"store-1m-{code.hexdigest()[:12]}"
    if path.exists():
        return path
    events = _million_events()
    for old in CORPORA.glob("store-1m-*"):
        shutil.rmtree(old)
    print("Importing a million events ...", file=sys.stderr)
    partial = CORPORA / "store-1m-partial"
    command = [str(Path(sys.executable).parent / "nostrtx"), "import", str(events)]
    subprocess.run([*command, "--store", f"lmdb:{partial}", "--no-verify"], check=True)
    partial.rename(path)
    return path


def contact_lists(authors: int = 200, versions: int = 10) -> tuple[Path, Path]:
    """
    Contact lists of 400 people, and their successors, each with one person changed.

    Returns:
        The files of the first versions and of the ``versions`` after them, each of
        the authors in turn. Always new, so the store holds older versions at most.
    """
    people = [hashlib.sha256(b"person %d" % n).hexdigest() for n in range(2000)]
    keys = [
        PrivateKey(hashlib.sha256(b"lists %d" % n).digest()) for n in range(authors)
    ]
    start = int(time.time()) - versions - 1
    files = (CORPORA / "lists-first.jsonl", CORPORA / "lists-next.jsonl")
    CORPORA.mkdir(exist_ok=True)
    with files[0].open("w") as first, files[1].open("w") as following:
        for version in range(versions + 1):
            for number, key in enumerate(keys):
                follows = people[number : number + 400]
                follows[:version] = people[-version:] if version else []
                tags = [["p", person] for person in follows]
                line = _signed(key, start + version, tags)
                (following if version else first).write(line + "\n")
    return files


def _signed(key: PrivateKey, created_at: int, tags: list[list[str]]) -> str:
    pubkey = key.public_key_xonly.format().hex()
    members = [0, pubkey, created_at, 3, tags, ""]
    preimage = json.dumps(members, separators=(",", ":"))
    event_id = hashlib.sha256(preimage.encode()).digest()
    event = {
        "id": event_id.hex(),
        "pubkey": pubkey,
        "created_at": created_at,
        "kind": 3,
        "tags": tags,
        "content": "",
        "sig": key.sign_schnorr(event_id).hex(),
    }
    return json.dumps(event, separators=(",", ":"))
