"""Tests for ``nostrtx explain``."""

from __future__ import annotations

import io

import click
from click.testing import CliRunner
from rich.console import Console
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.cli.explaining import explain_on, filter_of
from nostrtx.cli.main import main
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.filters import Filter
from nostrtx.storage.explanation import Explanation, IExplains, Look
from nostrtx.storage.memory import MemoryEventStore


@implementer(IExplains)
class ExplainingStore(MemoryEventStore):
    """
    A store that explains as the test says.

    Args:
        answer: The explanation, or that there is none.
    """

    def __init__(self, answer: Deferred[Explanation] | Explanation) -> None:
        super().__init__()
        self.answer = answer

    def explain(self, asked: Filter, now: float) -> Deferred[Explanation] | Explanation:
        """As the test says."""
        return self.answer


_EMBEDDED = Explanation(
    "tag #r", [("tag #r", 1200)], [Look("tags", 1, 2, 3456)], 7, True, 0.0123
)
_SHARED = Explanation(
    "",
    (),
    [Look("statement 1", entries=5, seconds=0.002, details=["Plan"])],
    5,
    None,
    1,
)


class ExplainTests(SynchronousTestCase):
    """What an operator is shown."""

    def shown(self, answer: Deferred[Explanation] | Explanation) -> str:
        """What is written of an explanation."""
        console = Console(file=io.StringIO(), width=80)
        store = ExplainingStore(answer)
        running = explain_on(store, Filter(limit=1), Clock(), console)
        self.successResultOf(Deferred.fromCoroutine(running))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        return str(text)

    def test_store(self) -> None:
        """The store of these tests is what stores that explain promise."""
        self.assertTrue(verifyObject(IExplains, ExplainingStore(_EMBEDDED)))

    def test_embedded(self) -> None:
        """Index, numbers and time are shown."""
        text = self.shown(_EMBEDDED)
        for part in (
            "Index: tag #r",
            "about 1,200",
            "3,456",
            "7 events, and",
            "12.3 ms",
        ):
            self.assertIn(part, text)

    def test_shared(self) -> None:
        """Statements are shown with their plans."""
        text = self.shown(succeed(_SHARED))
        self.assertIn("statement 1: 5 rows, 2.0 ms\n  Plan\n", text)
        self.assertIn("5 events, in", text)

    def test_failure(self) -> None:
        """A store that fails is one line, not a traceback."""
        failing: Deferred[Explanation] = fail(StoreError("the store is away"))
        running = explain_on(ExplainingStore(failing), Filter(), Clock(), Console())
        failure = self.failureResultOf(Deferred.fromCoroutine(running))
        self.assertIs(failure.check(click.ClickException), click.ClickException)
        self.assertIn("the store is away", str(failure.value))

    def test_unable(self) -> None:
        """Of a store that cannot tell, that is said."""
        running = explain_on(MemoryEventStore(), Filter(), Clock(), Console())
        failure = self.failureResultOf(Deferred.fromCoroutine(running))
        self.assertIn("cannot tell", str(failure.value))

    def test_filter(self) -> None:
        """A filter without a limit gets the one that the relay would give it."""
        asked = filter_of('{"kinds":[1]}', 500)
        self.assertEqual((asked.kinds, asked.limit), ((1,), 500))
        self.assertEqual(filter_of('{"limit":3}', 500).limit, 3)

    def test_no_filter(self) -> None:
        """What is no filter, or nothing to explain, is refused with the reason."""
        for text, reason in (
            ("{", "not JSON"),
            ("[]", ""),
            ('{"kinds":[]}', "no event can match"),
            ('{"search":"x"}', "search"),
        ):
            with self.assertRaisesRegex(click.BadParameter, reason):
                filter_of(text, 500)

    def test_help(self) -> None:
        """The command is there, and says what it takes."""
        result = CliRunner().invoke(main, ["explain", "--help"])
        self.assertEqual(result.exit_code, 0)
        self.assertIn("FILTER", result.output)
