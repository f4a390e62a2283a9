"""Programs that decide about events, beside a relay that runs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import FREE_PORT, RelayDied, RelayProcess, running_in
from tests.live.traffic import until
from tests.relay.policies.example import EXAMPLE

_PLUGINS = Path(__file__).parent / "plugins"
_FAILED = (False, "error: internal error")


class ProgramTests(LiveTestCase):
    """A relay with programs, and a client that publishes."""

    async def relay_with(self, *settings: str) -> tuple[RelayProcess, LiveClient]:
        """A relay with a table for each of ``settings``, and a client."""
        tables = "".join([f"[[programs]]\n{table}\n" for table in settings])
        relay = await self.start_relay(tables)
        self.author = Author("somebody")
        return relay, await self.connect(relay)

    def judge(self, *settings: str, path: Path = _PLUGINS / "judge.py") -> str:
        """The table of a program in Python that does what it is told in events."""
        command = json.dumps([sys.executable, str(path)])
        return "\n".join([f"command = {command}", *settings])

    async def say(
        self, client: LiveClient, *contents: str, kind: int = 1
    ) -> list[tuple[bool, str]]:
        """What the relay answers to events with these contents, sent at once."""
        events = [self.author.sign(content, kind=kind) for content in contents]
        answers = await client.publish(events)
        return [answers[event["id"]] for event in events]

    async def test_verdicts(self) -> None:
        """
        A program written for strfry decides, whatever else it writes.

        What it refuses in the shadow seems to be taken, and is not there.
        """
        relay, client = await self.relay_with(self.judge())
        answers = await self.say(
            client,
            "hello",
            "reject for no reason",
            "reject pow: too easy",
            "shadow",
            "source",
            "garbage",
            "complain",
        )
        self.assertEqual(
            answers,
            [
                (True, ""),
                (False, "blocked: for no reason"),
                (False, "pow: too easy"),
                (True, ""),
                (False, 'blocked: ["IP4", "127.0.0.1", null]'),
                (True, ""),
                (True, ""),
            ],
        )
        served = {event["content"] for event in await client.query({"kinds": [1]})}
        self.assertEqual(served, {"hello", "garbage", "complain"})
        (ephemeral,) = await self.say(client, "reject not even this", kind=20001)
        self.assertEqual(ephemeral, (False, "blocked: not even this"))
        await until(lambda: "judge complains" in relay.output, 10, "no complaint")
        self.assertIn("wrote a line that is no answer: it is not JSON", relay.output)

    async def test_languages(self) -> None:
        """Programs in a shell and in JavaScript are asked one after the other."""
        tables = [f"command = {json.dumps(str(_PLUGINS / 'judge.sh'))}"]
        node = shutil.which("node")
        if node is None:
            raise SkipTest("Node.js is not installed")
        tables.append(f"command = '{node} {_PLUGINS / 'judge.js'}'\nkinds = ['5-9']")
        _, client = await self.relay_with(*tables)
        self.assertEqual(
            await self.say(client, "hello", "the lottery"),
            [(True, ""), (False, "blocked: no lotteries")],
        )
        answers = await self.say(client, "+", kind=7)
        self.assertEqual(answers, [(False, "blocked: no reactions")])

    async def test_killed(self) -> None:
        """A program that is killed under load is started anew; no event is lost."""
        relay, client = await self.relay_with(self.judge("workers = 2"))
        publishing = client.publish([self.author.sign(str(n)) for n in range(2000)])
        victims = [
            pid
            for pid in running_in(self.directory)
            if b"judge.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        self.assertEqual(len(victims), 2)
        await deferLater(reactor, 0.05)
        os.kill(victims[0], SIGKILL)
        answers = await publishing
        self.assertEqual(set(answers.values()), {(True, "")})
        self.assertEqual(len(answers), 2000)
        self.assertIn("ended by signal 9", relay.output)

    async def test_poison(self) -> None:
        """An event that kills the program is refused, and what follows is taken."""
        _, client = await self.relay_with(self.judge())
        self.assertEqual(await self.say(client, "die"), [_FAILED])
        self.assertEqual(await self.say(client, "hello"), [(True, "")])

    async def test_slow(self) -> None:
        """An event that gets no answer is refused in time; the next is taken."""
        _, client = await self.relay_with(self.judge("timeout_seconds = 1.5"))
        self.assertEqual(await self.say(client, "silence"), [_FAILED])
        self.assertEqual(await self.say(client, "hello"), [(True, "")])
        self.assertEqual(await self.say(client, "sleep 60"), [_FAILED])
        self.assertEqual(await self.say(client, "again"), [(True, "")])

    async def test_fails_open(self) -> None:
        """If the operator says so, what gets no answer is taken."""
        _, client = await self.relay_with(
            "command = '/nonexistent/program'\non_failure = 'accept'"
        )
        self.assertEqual(await self.say(client, "hello"), [(True, "")])

    async def test_shadow(self) -> None:
        """In shadow, nothing is refused."""
        _, client = await self.relay_with(self.judge("shadow = true"))
        self.assertEqual(await self.say(client, "reject this"), [(True, "")])

    async def test_changed(self) -> None:
        """A program that has changed is started anew; no verdict is lost."""
        path = self.directory / "judge.py"
        text = (_PLUGINS / "judge.py").read_text()
        path.write_text(text)
        relay, client = await self.relay_with(self.judge(path=path))
        (before,) = await self.say(client, "who")
        path.write_text(text.replace('"pid {', '"process {'))
        number, changed = 0, (False, "")
        while not changed[1].startswith("blocked: process"):
            number += 1
            answers = await self.say(client, "who", f"sleep 0.02 {number}"[:10])
            changed = answers[0]
            self.assertNotEqual(changed, _FAILED)
        self.assertTrue(before[1].startswith("blocked: pid"))
        self.assertIn("has changed, and is started anew", relay.output)

    async def test_replay(self) -> None:
        """A program can be tried on what is stored, beside the relay."""
        relay = await self.start_relay()
        self.author = Author("somebody")
        client = await self.connect(relay)
        contents = ["hello", "reject spam", "reject more spam", "shadow", "source"]
        await self.say(client, *contents, *[f"hello {n}" for n in range(500)])
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            [
                *["-m", "nostrtx.cli.main", "policy-replay", "--store", "lmdb:store"],
                *["--program", f"{sys.executable} {_PLUGINS / 'judge.py'}"],
            ],
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, 0, err.decode())
        lines = [line.split() for line in out.decode().splitlines()]
        self.assertEqual(lines[0][:2], ["505", "events"])
        self.assertEqual([line[1] for line in lines[1:4]], ["501", "3", "1"])
        self.assertIn(["program-0", "501", "3", "1", "0"], lines)
        told = 'blocked: ["Stored", "", null]'
        self.assertIn(["1", *told.split()], lines)
        stored = await client.query({"kinds": [1], "limit": 500})
        self.assertEqual(len(stored), 500)

    async def test_replay_without_program(self) -> None:
        """Why a program cannot be asked is told, and not only that it fails."""
        relay = await self.start_relay()
        self.author = Author("somebody")
        await self.say(await self.connect(relay), "hello")
        _, err, _ = await getProcessOutputAndValue(
            sys.executable,
            [
                *["-m", "nostrtx.cli.main", "policy-replay", "--store", "lmdb:store"],
                *["--program", "./no-such-program"],
            ],
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertIn("program-0 cannot be started: ./no-such-program", err.decode())

    async def test_replay_rules(self) -> None:
        """So can rules, lists and trust, without a word to the relay or its store."""
        relay = await self.start_relay()
        root, friend = Author("root"), Author("friend")
        self.author = root
        client = await self.connect(relay)
        follows = root.sign("", kind=3, tags=[["p", friend.pubkey]])
        await client.publish([follows])
        await self.say(client, "one", "two")
        for author in (friend, Author("stranger")):
            self.author = author
            await self.say(client, "three", "four: cheap watches")
        (self.directory / "rules.toml").write_text(
            f"[trust]\nroots = ['{root.pubkey}']\ndepth = 1\n"
            "[lists.spam]\nwords = ['watches']\n"
            "[[rules]]\nwords = ['spam']\nreason = 'spam'\n"
            "[[rules]]\ntrust = 1\nverdict = 'accept'\n"
            "[[rules]]\nreason = 'unknown'\nshadow = true\n"
        )
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            [
                *["-m", "nostrtx.cli.main", "policy-replay", "--store", "lmdb:store"],
                *["--config", "rules.toml", "--rules"],
            ],
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, 0, err.decode())
        lines = [line.split() for line in out.decode().splitlines()]
        self.assertEqual(lines[0][:2], ["7", "events"])
        self.assertIn(["rules", "4", "3", "0", "0"], lines)
        self.assertIn(["2", "blocked:", "spam"], lines)
        self.assertIn(["1", "blocked:", "unknown"], lines)
        self.assertEqual(await self.say(client, "five"), [(True, "")])

    async def test_plugin(self) -> None:
        """A plugin in Python is found, asked, and counted; an unknown one is told."""
        directory = self.directory / "installed"
        shutil.copytree(EXAMPLE, directory)
        (self.directory / "settings.toml").write_text(
            "[[plugins]]\nname = 'quiet-hours'\noptions = { from = 0, to = 23 }\n"
            "[[plugins]]\nname = 'quiet-hours-2'\n"
        )
        arguments = ["nostr-relay", "--config", "settings.toml", "--listen", FREE_PORT]
        arguments += ["--store", "lmdb:store"]
        environment = {"PYTHONPATH": str(directory)}
        died = await self.assertFailure(
            Deferred.fromCoroutine(
                RelayProcess.spawn(self.directory, arguments, **environment)
            ),
            RelayDied,
        )
        self.assertIn("plugins[1].name: there is no plugin", str(died))
        (self.directory / "settings.toml").write_text(
            "[[plugins]]\nname = 'quiet-hours'\n"
            f"options = {{ from = {datetime.now(UTC).hour},"
            f" to = {(datetime.now(UTC).hour + 2) % 24} }}\n"
        )
        relay = self.ends(
            await RelayProcess.spawn(self.directory, arguments, **environment)
        )
        self.author = Author("somebody")
        client = await self.connect(relay)
        ((is_accepted, reason),) = await self.say(client, "hello")
        self.assertFalse(is_accepted)
        self.assertTrue(reason.startswith("blocked: quiet until"))
        self.assertEqual(await self.say(client, "+", kind=7), [(True, "")])

    async def test_end(self) -> None:
        """Programs end with the relay, and it does not wait long for them."""
        relay, client = await self.relay_with(self.judge("workers = 3"))
        self.assertEqual(await self.say(client, "hello"), [(True, "")])
        await relay.stop()
        self.assertEqual(running_in(self.directory), [])
