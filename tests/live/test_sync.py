"""Stores that come to hold the same (NIP-77): with `nostrtx sync`, and with others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from signal import SIG_DFL, SIGINT, signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.authors import Author
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import BIN, RelayProcess

_CLIENTS = Path(__file__).parent / "clients"
_PLUGINS = Path(__file__).parent / "plugins"

_SECRET = "07" * 32


@cache
def _notes() -> list[dict[str, Any]]:
    """Signed once, for that takes longer than to bring them elsewhere."""
    author = Author("sync")
    return [author.sign(f"{n}", created_at=1_700_000_000 + n // 3) for n in range(4000)]


class SyncTestCase(LiveTestCase):
    """Two stores that have some of 4,000 notes in common."""

    timeout = 180

    @property
    def notes(self) -> list[dict[str, Any]]:
        """The notes, oldest first."""
        return _notes()

    def write(self, name: str, notes: Iterable[dict[str, Any]]) -> str:
        """A file of events, one a line; its path."""
        path = self.directory / name
        path.write_text("".join(json.dumps(note) + "\n" for note in notes))
        return str(path)

    async def run_program(self, *command: str) -> tuple[str, str, int]:
        """What a program printed, its errors, and its exit code."""
        output, errors, code = await getProcessOutputAndValue(
            command[0],
            command[1:],
            env={"PATH": "/usr/bin:/bin"},
            path=str(self.directory),
            reactor=reactor,
        )
        return output.decode(), errors.decode(), code

    async def nostrtx(self, *arguments: str) -> str:
        """What the command printed; it succeeds."""
        output, errors, code = await self.run_program(str(BIN / "nostrtx"), *arguments)
        self.assertEqual(code, 0, output + errors)
        return output

    async def relay_with(
        self, notes: Iterable[dict[str, Any]], settings: str = ""
    ) -> RelayProcess:
        """A relay that holds these events."""
        file = self.write("theirs.jsonl", notes)
        await self.nostrtx("import", file, "--store", "lmdb:store")
        return await self.start_relay(settings)

    async def exported(self, store: str) -> set[str]:
        """The ids of what a store holds."""
        output = await self.nostrtx("export", "--store", store)
        return {json.loads(line)["id"] for line in output.splitlines()}

    def ids(self, notes: Iterable[dict[str, Any]]) -> set[str]:
        """The ids of events."""
        return {note["id"] for note in notes}


class OurSyncTests(SyncTestCase):
    """``nostrtx sync`` against our own relay, over real sockets."""

    async def sync(self, relay: RelayProcess, *options: str) -> str:
        """Synchronize the store ``ours`` with the relay's."""
        return await self.nostrtx("sync", relay.url, "--store", "lmdb:ours", *options)

    async def hold(self, notes: Iterable[dict[str, Any]]) -> None:
        """Have these events in our store."""
        file = self.write("ours.jsonl", notes)
        await self.nostrtx("import", file, "--store", "lmdb:ours")

    async def test_both_ways(self) -> None:
        """Both sides hold all of it then, and a second run finds nothing to do."""
        relay = await self.relay_with(self.notes[:3000])
        await self.hold(self.notes[1000:])
        told = await self.sync(relay)
        self.assertIn("1,000  accepted by the relay", told)
        self.assertIn("1,000  received", told)
        everything = self.ids(self.notes)
        self.assertEqual(await self.exported("lmdb:ours"), everything)
        self.assertEqual(await self.exported("lmdb:store"), everything)
        told = await self.sync(relay)
        self.assertIn(" 0  events that only the relay had", told)
        self.assertIn(" 0  events that only this store had", told)

    async def test_one_way(self) -> None:
        """Either way can be had alone."""
        relay = await self.relay_with(self.notes[:500])
        await self.hold(self.notes[400:600])
        await self.sync(relay, "--direction", "up")
        self.assertEqual(await self.exported("lmdb:store"), self.ids(self.notes[:600]))
        self.assertEqual(len(await self.exported("lmdb:ours")), 200)
        await self.sync(relay, "--direction", "down")
        self.assertEqual(await self.exported("lmdb:ours"), self.ids(self.notes[:600]))

    async def test_without_negentropy(self) -> None:
        """A relay that does not reconcile is read, and that is said."""
        relay = await self.relay_with(self.notes[:700], "[negentropy]\nenabled=false\n")
        await self.hold(self.notes[600:800])
        output, errors, code = await self.run_program(
            str(BIN / "nostrtx"), "sync", relay.url, "--store", "lmdb:ours"
        )
        self.assertEqual(code, 0, output)
        self.assertIn("does not reconcile (NIP-77)", errors)
        self.assertEqual(await self.exported("lmdb:ours"), self.ids(self.notes[:800]))
        self.assertEqual(await self.exported("lmdb:store"), self.ids(self.notes[:800]))

    async def test_authentication(self) -> None:
        """A relay that asks who is there gets an answer, if there is a key."""
        relay = await self.relay_with(self.notes[:10], '[auth]\nrequired="both"\n')
        await self.hold(self.notes[5:20])
        arguments = ("sync", relay.url, "--store", "lmdb:ours")
        output, errors, code = await self.run_program(str(BIN / "nostrtx"), *arguments)
        self.assertEqual(code, 1, output)
        self.assertIn("auth-required: ", errors)
        (self.directory / "key").write_text(_SECRET + "\n")
        await self.nostrtx(*arguments, "--auth-key-file", "key")
        self.assertEqual(await self.exported("lmdb:ours"), self.ids(self.notes[:20]))

    async def test_protected_events(self) -> None:
        """Protected events are left where they are, unless they are asked for."""
        protected = Author("sync").sign("mine", tags=[["-"]])
        relay = await self.relay_with([protected, *self.notes[:3]])
        told = await self.sync(relay, "--direction", "down")
        self.assertIn("protected", told)
        self.assertEqual(await self.exported("lmdb:ours"), self.ids(self.notes[:3]))
        await self.sync(relay, "--direction", "down", "--protected")
        self.assertEqual(len(await self.exported("lmdb:ours")), 4)

    async def test_private_events(self) -> None:
        """Private events stay here, unless the operator says otherwise."""
        author = Author("sync")
        private = [author.sign("psst", kind=4, tags=[["p", author.pubkey]])]
        relay = await self.relay_with([])
        await self.hold([*private, *self.notes[:3]])
        told = await self.sync(relay)
        self.assertIn("           1  private, and not sent", told)
        self.assertEqual(await self.exported("lmdb:store"), self.ids(self.notes[:3]))
        await self.sync(relay, "--private")
        self.assertEqual(len(await self.exported("lmdb:store")), 4)

    async def test_interrupted(self) -> None:
        """Control-C ends it at once, also while a relay accepts and says nothing."""
        accepted: Deferred[None] = Deferred()

        class Silent(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if not accepted.called:
                    accepted.callback(None)

        silent = Factory.forProtocol(Silent)
        port = reactor.listenTCP(0, silent, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"ws://127.0.0.1:{port.getHost().port}"
        with subprocess.Popen(
            [str(BIN / "nostrtx"), "sync", url, "--store", "lmdb:ours"],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal(SIGINT, SIG_DFL),
        ) as process:
            self.addCleanup(process.kill)
            await accepted
            process.send_signal(SIGINT)
            output, errors = await deferToThread(process.communicate, timeout=60)
        self.assertEqual((process.returncode, output, errors), (130, b"", b""))

    async def test_errors(self) -> None:
        """What is wrong is told in one line: no relay there, or one that refuses."""
        relay = await self.relay_with(self.notes[:5], "[negentropy]\nmax_events=4\n")
        for url, words in (
            ("ws://127.0.0.1:1", "cannot connect to ws://127.0.0.1:1/: "),
            (relay.url, "blocked: this query is too big (the relay reconciles"),
        ):
            _, errors, code = await self.run_program(
                str(BIN / "nostrtx"), "sync", url, "--store", "lmdb:ours"
            )
            self.assertEqual(code, 1)
            [line] = errors.splitlines()
            self.assertIn(words, line)


class PolicyTests(SyncTestCase):
    """Policies are asked about what comes from elsewhere."""

    def setUp(self) -> None:
        """Have a rule and a program in the settings, another one only in shadow."""
        super().setUp()
        judge = json.dumps([sys.executable, str(_PLUGINS / "judge.py")])
        (self.directory / "ours.toml").write_text(
            '[store]\nurl = "lmdb:ours"\n'
            '[[rules]]\nkinds = [7]\nreason = "no reactions"\n'
            "[[rules]]\nkinds = [1]\nshadow = true\n"
            f"[[programs]]\ncommand = {judge}\n"
            '[[programs]]\ncommand = "/nowhere/to/be/found"\nshadow = true\n'
        )
        author = Author("elsewhere")
        self.taken = author.sign("hello")
        self.strange = [
            self.taken,
            author.sign("+", kind=7),
            author.sign("reject pow: too easy"),
            author.sign("shadow"),
            author.sign("source"),
        ]

    def assert_refused(self, told: str, source: str, *more: str) -> None:
        """Assert that the summary has all that was refused."""
        for reason in ("no reactions", "pow: too easy", "taken without a word", *more):
            self.assertIn(f"           1    {reason}", told.replace("blocked: ", ""))
        self.assertIn(source, told)

    async def test_sync(self) -> None:
        """What another relay has taken is asked about here, unless nobody wants it."""
        relay = await self.relay_with(self.strange)
        down = ("sync", relay.url, "--config", "ours.toml", "--direction", "down")
        told = await self.nostrtx(*down)
        self.assert_refused(told, f'["Sync", "{relay.url}", null]')
        self.assertEqual(await self.exported("lmdb:ours"), {self.taken["id"]})
        told = await self.nostrtx(*down, "--no-policies")
        self.assertIn("           0  refused", told)
        self.assertEqual(await self.exported("lmdb:ours"), self.ids(self.strange))

    async def test_import(self) -> None:
        """A file of strangers' events is asked about if the operator says so."""
        file = self.write("strange.jsonl", self.strange)
        told = await self.nostrtx("import", file, "--config", "ours.toml", "--policies")
        self.assert_refused(told, '["Import", "", null]')
        self.assertEqual(await self.exported("lmdb:ours"), {self.taken["id"]})
        told = await self.nostrtx("import", file, "--config", "ours.toml")
        self.assertIn("           4  accepted", told)

    async def test_program_missing(self) -> None:
        """A program that does not run is named, and takes nothing or everything."""
        file = self.write("strange.jsonl", self.strange)
        for choice, accepted in (("refuse", 0), ("accept", 5)):
            (self.directory / "bad.toml").write_text(
                '[store]\nurl = "lmdb:ours"\n[[programs]]\nname = "gone"\n'
                f'command = "/nowhere/to/be/found"\non_failure = "{choice}"\n'
            )
            output, errors, code = await self.run_program(
                str(BIN / "nostrtx"),
                *("import", file, "--policies", "--config", "bad.toml"),
            )
            self.assertEqual(code, 0)
            self.assertIn(f"           {accepted}  accepted", output)
            self.assertIn("The policy gone could say nothing about 5 events.", errors)

    async def test_mistakes(self) -> None:
        """Who asks for policies where there are none is told, in one line."""
        file = self.write("strange.jsonl", self.strange)
        (self.directory / "bad.toml").write_text("[[plugins]]\nname = 'nobody'\n")
        for options, words in (
            (("--store", "lmdb:ours"), "there is no policy to ask"),
            (("--store", "lmdb:ours", "--config", "bad.toml"), "nobody"),
        ):
            _, errors, code = await self.run_program(
                str(BIN / "nostrtx"), "import", file, "--policies", *options
            )
            self.assertEqual(code, 1)
            [line] = errors.splitlines()
            self.assertIn(words, line)


class OtherClientsTests(SyncTestCase):
    """Our relay against other people's code."""

    async def test_nostr_sdk(self) -> None:
        """nostr-sdk takes 3,000 events and brings 1,000, over one subscription id."""
        relay = await self.relay_with(self.notes[:3000])
        empty = self.write("empty.jsonl", [])
        some = self.write("some.jsonl", self.notes[1000:])

        async def use(*arguments: str) -> dict[str, Any]:
            program = str(_CLIENTS / "nostr_sdk_sync.py")
            output, errors, code = await self.run_program(
                sys.executable, program, *arguments, relay.url
            )
            self.assertEqual(code, 0, errors)
            seen: dict[str, Any] = json.loads(output)
            self.assertEqual(seen["failed"], [])
            return seen

        seen = await use(empty, "down", "DOWN")
        self.assertEqual((seen["received"], seen["held"]), (3000, 3000))
        seen = await use(some, "up", "UP")
        self.assertEqual((seen["sent"], seen["held"]), (1000, 3000))
        self.assertEqual(await self.exported("lmdb:store"), self.ids(self.notes))

    async def test_nostr_tools(self) -> None:
        """nostr-tools finds the differences."""
        node = shutil.which("node")
        if node is None or not (_CLIENTS / "node_modules").exists():
            raise SkipTest("needs Node and nostr-tools: make test installs them")
        relay = await self.relay_with(self.notes[:3000])
        some = self.write("some.jsonl", self.notes[1000:])
        output, errors, code = await self.run_program(
            node, str(_CLIENTS / "nostr_tools_sync.mjs"), some, relay.url
        )
        self.assertEqual(code, 0, errors)
        self.assertEqual(
            json.loads(output), {"have": 1000, "need": 1000, "reason": None}
        )
