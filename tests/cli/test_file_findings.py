"""Tests for :mod:`nostrtx.cli.file_findings`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.file_findings import (
    MAX_SOCKET_PATH,
    no_socket,
    not_to_be_made,
    not_to_be_run,
    not_writable,
)


class FileFindingsTests(SynchronousTestCase):
    """What is told of files that cannot be used."""

    def setUp(self) -> None:
        """A directory with a file."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.file = self.directory / "file"
        self.file.write_text("")

    def forbid(self, *paths: Path) -> None:
        """Let these not be written, whoever runs the tests."""
        access = os.access

        def allowed(path: str, mode: int) -> bool:
            return not (mode & os.W_OK and Path(path) in paths) and access(path, mode)

        self.patch(os, "access", allowed)

    def test_writable(self) -> None:
        """What can be written is fine; what cannot is named."""
        self.assertEqual(not_writable(str(self.file)), "")
        self.forbid(self.file)
        self.assertEqual(not_writable(str(self.directory)), "")
        self.assertEqual(
            not_writable(str(self.file)),
            f"{self.file} cannot be written by whoever runs this",
        )

    def test_to_be_made(self) -> None:
        """What is to be made needs a directory that can be written."""
        new, below = self.directory / "new", self.directory / "a" / "b"
        self.assertEqual(not_to_be_made(str(new)), "")
        self.assertEqual(not_to_be_made("not-there-yet"), "")
        self.assertIn(
            f"there is no directory {below.parent}", not_to_be_made(str(below))
        )
        self.assertEqual(not_to_be_made(str(below), with_parents=True), "")
        self.assertIn("is no directory", not_to_be_made(str(self.file / "x")))
        self.forbid(self.directory)
        for path, with_parents in ((new, False), (below, True)):
            why = not_to_be_made(str(path), with_parents)
            self.assertIn(f"{self.directory} cannot be written", why)

    def test_socket(self) -> None:
        """A UNIX socket's path must not be too long, and its directory be there."""
        self.assertEqual(no_socket("relay.sock"), "")
        self.assertIn("longer than", no_socket("x" * (MAX_SOCKET_PATH + 1)))
        self.assertIn("there is no directory", no_socket("not/there"))

    def test_program(self) -> None:
        """Programs are found in PATH, or where their path leads."""
        self.assertEqual(not_to_be_run("sh"), "")
        for program, words in (
            ("no-such-program", "there is no no-such-program in the directories"),
            (str(self.directory / "no"), f"there is no {self.directory}/no"),
            (str(self.directory), "is a directory"),
            (str(self.file), "may not be executed by whoever runs this (chmod +x)"),
        ):
            self.assertIn(words, not_to_be_run(program))

    def test_script(self) -> None:
        """A script needs the interpreter that it names, and ends of lines as here."""
        self.file.chmod(0o755)
        for first, words in (
            ("", ""),
            ("#!/bin/sh\n", ""),
            ("#!/usr/bin/env sh\n", ""),
            ("#!/usr/bin/env -S sh -e\n", ""),
            ("#!/no/where\n", "it is for /no/where, which is not there"),
            ("#!\n", "it is for nothing"),
            ("#!/usr/bin/env no-such\n", "it is for no-such, which is not there"),
            ("#!/bin/sh\r\n", "its first line ends with CR LF"),
        ):
            self.file.write_bytes(first.encode() + b"exit 0\n")
            why = not_to_be_run(str(self.file))
            self.assertIn(words, why)
            self.assertEqual(bool(why), bool(words), first)
