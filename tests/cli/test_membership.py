"""Tests for :mod:`nostrtx.cli.membership`."""

from __future__ import annotations

import time
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from nostrtx.nostr.bech32 import Npub, Nsec, encode
from nostrtx.nostr.membership import Role
from nostrtx.relay.membership.register import Invite, Outcome, Register
from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase
from nostrtx.storage.register_file import RegisterFile
from tests.live.postgres_server import shared_server
from tests.storage.events import ALICE, BOB, event_id


class MembershipCommandTests(SynchronousTestCase):
    """What an operator does about members."""

    def setUp(self) -> None:
        """A settings file, and the register it names."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        self.config = directory / "settings.toml"
        self.set_up(enabled=True)
        self.register = Register(RegisterFile(str(directory / "membership.sqlite")))
        self.addCleanup(self.register.close)

    def set_up(self, *, enabled: bool) -> None:
        """Write the settings."""
        self.config.write_text(
            f"store.url = 'lmdb:{self.config.parent}'\n"
            f"membership.enabled = {str(enabled).lower()}\n"
        )

    def run_command(self, *arguments: str) -> Result:
        """Run a command with that settings file."""
        return CliRunner().invoke(main, [*arguments, "--config", str(self.config)])

    def output(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        result = self.run_command(*arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def refusal(self, *arguments: str) -> str:
        """What a command says that must fail."""
        result = self.run_command(*arguments)
        self.assertNotEqual(result.exit_code, 0)
        return result.output

    def test_create_invite(self) -> None:
        """A code is printed alone, and lets one in."""
        before = int(time.time())
        code = self.output("invite", "create").removesuffix("\n")
        self.assertRegex(code, r"\A[0-9a-f]{32}\Z")
        (invite,) = self.register.invites()
        self.assertEqual((invite.code, invite.uses_left), (code, 1))
        assert invite.expires_at is not None
        self.assertLessEqual(before + 7 * 86_400, invite.expires_at)
        outcome = self.register.join(event_id(1), before, ALICE, code, before)
        self.assertIs(outcome, Outcome.DONE)

    def test_create_without_limits(self) -> None:
        """0 stands for any number of uses and for ever."""
        code = self.output("invite", "create", "--uses", "0", "--days", "0").strip()
        self.assertEqual(self.register.invites(), [Invite(code, None, None)])

    def test_list_invites(self) -> None:
        """Each code stands on a line with what there is to know about it."""
        self.register.add_invite(Invite("a", 3, 100))
        self.register.add_invite(Invite("b", 3, 4_000_000_000, BOB))
        self.register.add_invite(Invite("c", None))
        self.assertEqual(
            self.output("invite", "list").splitlines(),
            [
                "a\t3\texpired\toperator",
                f"b\t3\t2096-10-02T07:06Z\t{encode(Npub(BOB))}",
                "c\tany\tnever\toperator",
            ],
        )

    def test_revoke_invite(self) -> None:
        """A revoked code is gone; one that is none cannot be revoked."""
        self.register.add_invite(Invite("a"))
        self.output("invite", "revoke", "a")
        self.assertEqual(self.register.invites(), [])
        self.assertIn("no such code", self.refusal("invite", "revoke", "a"))

    def test_members(self) -> None:
        """Members are added and removed by any form of their key."""
        self.output("roles", "define", "king")
        self.output("members", "add", encode(Npub(ALICE)), "--role", "king")
        self.output("members", "add", BOB.hex())
        self.assertEqual(
            self.output("members", "list").splitlines(),
            [f"{encode(Npub(ALICE))}\tking", encode(Npub(BOB))],
        )
        self.output("members", "remove", ALICE.hex())
        self.assertEqual(self.output("members", "list", "--hex"), f"{BOB.hex()}\n")
        self.assertIn("no such member", self.refusal("members", "remove", ALICE.hex()))

    def test_secret_key(self) -> None:
        """A secret key is refused where a member is meant, and not repeated."""
        nsec = encode(Nsec(ALICE))
        said = self.refusal("members", "add", nsec)
        self.assertIn("secret key", said)
        self.assertNotIn(nsec, said)
        self.assertEqual(self.register.contents().members, {})

    def test_unknown_role(self) -> None:
        """A role must be defined before anyone has it."""
        said = self.refusal("members", "add", ALICE.hex(), "--role", "x")
        self.assertIn("there is no role 'x'", said)

    def test_roles(self) -> None:
        """Roles are defined with all that clients may show, and removed."""
        self.output(
            *("roles", "define", "king", "--label", "King", "--description", "rules"),
            *("--color", "37", "--order", "1"),
        )
        self.assertEqual(
            self.register.contents().roles, (Role("king", "King", "rules", 37, 1),)
        )
        self.assertEqual(self.output("roles", "list"), "king\tKing\n")
        self.output("roles", "remove", "king")
        self.assertEqual(self.register.contents().roles, ())
        self.assertIn("no such role", self.refusal("roles", "remove", "king"))
        self.refusal("roles", "define", "x", "--color", "361")

    def test_not_enabled(self) -> None:
        """Where the relay has no members, the command says that it has no effect."""
        self.set_up(enabled=False)
        result = self.run_command("members", "add", ALICE.hex())
        self.assertEqual(result.exit_code, 0)
        self.assertIn("membership.enabled is false", result.stderr)

    def test_in_memory(self) -> None:
        """A relay in memory has no register to work on."""
        said = self.refusal("members", "list", "--store", "memory:")
        self.assertIn("--store", said)

    def test_shared(self) -> None:
        """Members of a relay whose store nodes share are in that store."""
        server = shared_server()
        name = server.make_database()
        self.addCleanup(server.drop_database, name)
        url = server.url(name)
        code = self.output("invite", "create", "--store", url).strip()
        self.output("members", "add", ALICE.hex(), "--store", url)
        register = Register(PostgresRegisterDatabase(url))
        self.addCleanup(register.close)
        self.assertEqual([invite.code for invite in register.invites()], [code])
        self.assertEqual(register.contents().members, {ALICE: ()})
        self.assertEqual(self.register.contents().members, {})

    def test_out_of_reach(self) -> None:
        """Where the shared store cannot be reached, one line says so."""
        url = "postgresql://relay:secret@127.0.0.1:1/nostr"
        said = self.refusal("members", "list", "--store", url)
        self.assertIn("register of members", said)
        self.assertNotIn("secret", said)
        self.assertEqual(len(said.splitlines()), 1)

    def test_no_directory(self) -> None:
        """Where the store's directory is missing, one line says so."""
        said = self.refusal("members", "list", "--store", "lmdb:/nowhere/at/all")
        self.assertIn("/nowhere/at/all/membership.sqlite", said)
        self.assertEqual(len(said.splitlines()), 1)
