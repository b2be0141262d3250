"""The checker must see what is wrong: a demo that always passes proves nothing."""

from __future__ import annotations

import dataclasses
import unittest

from demo import checker, mailbox, seed
from demo.checker import History
from demo.mailbox import Notice
from demo.seed import ADA, ADMINS, DEV, LIN, MAX, OPS, Fate, Machine

EXPIRES, STOPPED, TERMINATED = 100.0, 106.0, 120.0
AT = {"first": 72.0, "soon": 88.0, "over": 101.0, "stopped": 107.0, "terminated": 121.0}


def machine(fate: Fate, **more: object) -> Machine:
    owners = frozenset({ADA.email})
    return Machine("web-1", DEV, "us-east-1", owners, fate, **more)  # type: ignore[arg-type]


def notice(kind: str, to: str = ADA.email, at: float | None = None, end: float = EXPIRES) -> Notice:
    return Notice(to, "i-1", kind, end, (), (), AT.get(kind, 110.0) if at is None else at)


def life(fate: Fate, *kinds: str, **more: object) -> History:
    """A machine with these mails to its owner, or with those that its fate asks for."""
    kinds = kinds or tuple(alternatives[0] for alternatives in checker.MAILS[fate])
    history = History(machine(fate, **more), "i-1", "running", notices=[notice(kind) for kind in kinds])
    if fate in (Fate.ENDED, Fate.STOPPED, Fate.PARKED, Fate.REVIVED):
        history.observe("stopped", STOPPED)
    if fate == Fate.REVIVED:
        history.observe("running", TERMINATED)
        history.granted = TERMINATED
    if fate in (Fate.ENDED, Fate.TERMINATED, Fate.VANISHED):
        history.observe("terminated", TERMINATED)
    return history


def faults(history: History) -> list[str]:
    return [*checker.wrong(history), *checker.missing(history)]


class Lives(unittest.TestCase):
    def test_every_fate_can_be_met(self) -> None:
        for fate in Fate:
            history = life(fate)
            if fate == Fate.RENEWED:
                history.granted = EXPIRES
            self.assertEqual(faults(history), [], fate)

    def test_nothing_seen_is_never_right(self) -> None:
        for fate in set(Fate) - {Fate.PARKED}:
            self.assertNotEqual(faults(History(machine(fate))), [], fate)

    def test_a_group_that_was_not_revived_is_missed(self) -> None:
        history = life(Fate.REVIVED)
        history.observe("stopped", TERMINATED)
        self.assertEqual(faults(history), ["not revived with the sizes that it had: it is stopped"])

    def test_each_mail_is_missed(self) -> None:
        for left_out, missed in [("first", "'first'"), ("soon", "'soon' or 'over'"), ("stopped", "'stopped'")]:
            kinds = [kind for kind in ("first", "soon", "stopped", "terminated") if kind != left_out]
            self.assertIn(f"no mail {missed} to {ADA.email}", faults(life(Fate.ENDED, *kinds)))

    def test_the_word_that_it_is_over_is_as_good_as_a_warning(self) -> None:
        self.assertEqual(faults(life(Fate.ENDED, "first", "over", "stopped", "terminated")), [])

    def test_an_end_that_did_not_come_is_missed(self) -> None:
        history = History(machine(Fate.STOPPED), "i-1", "running", notices=life(Fate.STOPPED).notices)
        self.assertEqual(faults(history), ["not stopped: it is running"])
        history = History(machine(Fate.ENDED), "i-1", notices=life(Fate.ENDED).notices)
        history.observe("stopped", STOPPED)
        self.assertEqual(faults(history), ["not terminated: it is stopped"])

    def test_what_must_run_and_does_not_is_wrong(self) -> None:
        for fate in (Fate.KEPT, Fate.RENEWED):
            history = life(fate)
            history.observe("stopped", STOPPED)
            self.assertIn("it is stopped and should run", checker.wrong(history))

    def test_what_may_only_be_stopped_and_is_terminated_is_wrong(self) -> None:
        for fate in (Fate.STOPPED, Fate.PARKED):
            history = life(fate)
            history.observe("terminated", TERMINATED)
            self.assertIn("it is terminated and should only be stopped", checker.wrong(history))

    def test_a_termination_without_a_stop_is_wrong_unless_it_cannot_be_stopped(self) -> None:
        history = History(machine(Fate.ENDED), "i-1", notices=life(Fate.ENDED).notices)
        history.observe("terminated", TERMINATED)
        self.assertIn("it was terminated without being stopped first", checker.wrong(history))
        history = life(Fate.TERMINATED)
        history.observe("stopped", STOPPED)
        self.assertIn("it was stopped, which this kind of instance cannot be", checker.wrong(history))


class Mails(unittest.TestCase):
    def test_a_mail_to_somebody_else_is_wrong(self) -> None:
        history = life(Fate.ENDED)
        history.notices.append(notice("first", LIN.email))
        self.assertIn(f"{LIN.email} was told, who does not own it", checker.wrong(history))

    def test_two_admins_cannot_both_own_it(self) -> None:
        unowned = dataclasses.replace(machine(Fate.KEPT), owners=ADMINS)
        history = History(unowned, "i-1", "running", notices=[notice("first", OPS.email), notice("first", MAX.email)])
        self.assertTrue(any("several were told" in what for what in checker.wrong(history)))

    def test_the_same_mail_twice_is_wrong(self) -> None:
        history = life(Fate.ENDED)
        history.notices.append(notice("soon"))
        self.assertIn(f"2 mails 'soon' to {ADA.email}", checker.wrong(history))

    def test_an_end_before_any_mail_is_wrong(self) -> None:
        history = life(Fate.STOPPED)
        history.notices = [dataclasses.replace(one, seen_at=STOPPED + 1) for one in history.notices]
        self.assertIn("it was ended before any mail about that", checker.wrong(history))

    def test_an_end_before_the_one_that_was_named_is_wrong(self) -> None:
        history = life(Fate.STOPPED)
        history.notices = [dataclasses.replace(one, names_end=STOPPED + 60) for one in history.notices]
        self.assertIn("it was ended before the end that its mail named", checker.wrong(history))

    def test_a_termination_without_its_own_mail_before_it_is_wrong(self) -> None:
        history = life(Fate.ENDED, "first", "soon", "over", "terminated")
        history.notices.append(notice("stopped", at=TERMINATED + 1))
        self.assertIn("it was terminated before a mail of its own about that", checker.wrong(history))

    def test_every_admin_must_learn_of_the_hold(self) -> None:
        history = life(Fate.KEPT, held="protected")
        history.notices.append(notice("held (protected)", MAX.email))
        self.assertEqual(faults(history), [f"no mail 'held (protected)' to {OPS.email}"])
        history.notices.append(notice("held (protected)", OPS.email))
        self.assertEqual(faults(history), [])

    def test_a_renewal_needs_a_mail_that_names_its_end(self) -> None:
        history = life(Fate.RENEWED)
        self.assertEqual(faults(history), ["not renewed"])
        history.granted = EXPIRES + 1
        self.assertEqual(faults(history), ["no mail names the end that the renewal was answered with"])

    def test_a_word_that_nobody_expects_is_wrong(self) -> None:
        history = life(Fate.VANISHED)
        history.notices.append(notice("Nobody could be told", MAX.email))
        self.assertIn("a mail 'Nobody could be told' about it", checker.wrong(history))


class Reading(unittest.TestCase):
    BODY = """<html><body><p>Hello</p>
        <div class="card soon" style="x"><h1>Ends soon: web-1 (i-1)</h1><p>Its lease ends.</p>
        <table><tr><td class="soft">Instance</td><td>i-1</td></tr>
        <tr><td class="soft">Lease ends</td><td>Tue 24 Nov 2026, 06:00:00 UTC</td></tr></table>
        <h2>What happens next</h2><ul><li>Nothing.</li></ul>
        <p>Renew it</p><div class="code" style="x">zerocloud renew zc1.a.b</div></div>
        <div class="card soon"><h1>Held: db-1 (i-2)</h1><p>Its end does not happen (protected): so.</p>
        <table><tr><td>Instance</td><td>i-2</td></tr></table></div></body></html>"""

    def test_a_mail_is_read_as_what_it_says_of_each_instance(self) -> None:
        sent = {"destinations": {"ToAddresses": [ADA.email]}, "subject": "2 notices", "body": self.BODY}
        first, second = mailbox.read(sent, 5.0).notices
        self.assertEqual((first.instance, first.kind, first.to), ("i-1", "soon", ADA.email))
        self.assertEqual(first.seen_at, 5.0)
        self.assertEqual((first.names_end, first.commands), (1795500000.0, ("zerocloud renew zc1.a.b",)))
        self.assertEqual((second.instance, second.kind), ("i-2", "held (protected)"))


class Verdict(unittest.TestCase):
    def test_that_time_alone_ran_out_is_said_with_the_machines_load(self) -> None:
        said = checker.too_late([], ["web-1: not stopped"], 211.4, 15.2, 2)
        assert said is not None
        self.assertIn("time ran out: 1 expectations had not come true after 211 s, and nothing went wrong.", said)
        self.assertIn("busy (15 processes for 2 processors)", said)
        quiet = checker.too_late([], ["web-1: not stopped"], 211.4, 1.0, 2)
        assert quiet is not None
        self.assertNotIn("busy", quiet)

    def test_what_went_wrong_is_never_excused_by_time(self) -> None:
        self.assertIsNone(checker.too_late(["web-1: it is stopped and should run"], ["web-2: no mail"], 211.4, 15.2, 2))
        self.assertIsNone(checker.too_late([], [], 90.0, 15.2, 2))


class Seed(unittest.TestCase):
    def test_names_are_unique(self) -> None:
        names = [one.name for one in [*seed.machines(), seed.LATE]]
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue({seed.BY_CLI, seed.BY_CURL, seed.VANISHES} <= set(names))

    def test_every_fate_is_there(self) -> None:
        self.assertEqual({one.fate for one in seed.machines()}, set(Fate))


if __name__ == "__main__":
    unittest.main()
