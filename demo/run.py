"""One run of the demo: starts everything, lets a life pass, tells it, and says whether it went as the seed asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo import checker, config, report
from demo.breaks import BREAKS
from demo.cloud import Cloud
from demo.config import App, Urls
from demo.mailbox import Mailbox
from demo.people import People
from demo.processes import Failure, Processes, free_ports
from demo.seed import AWS_ACCOUNTS, REGIONS, VANISHES, machines
from demo.story import Story
from demo.watch import Watch

TOLD_WITHIN = 60.0
"""Seconds until everybody had the first mail. By then everything is overdue too, so a break shows that nothing ends."""
OVER_WITHIN = 150.0
"""Seconds from then until every life is over; a renewed lease lasts longer."""
OVER_WITHIN_BROKEN = 60.0
AFTERWARDS = 4.0
"""Seconds to look on for what must not happen."""
TICK = 0.5
SHOWN = 20
"""So many instances with problems are listed; the table has them all."""


class Run:
    """Everything that one run holds."""

    def __init__(
        self, zerocloud: Path, github: Path, folder: Path, processes: Processes, broken: str | None
    ) -> None:
        self.zerocloud = zerocloud
        self.github = github
        self.folder = folder
        self.processes = processes
        self.broken = broken
        *ports, self.nobody = free_ports(8)
        self.urls = Urls(*(f"http://127.0.0.1:{port}" for port in ports))
        self.config = folder / "config.yml"
        self.story = Story(self.urls)
        self.people = People(zerocloud, self.config, self.urls, self.story.say)

    def start(self) -> None:
        """moto, the seed, the scheduler, zerocloud."""
        self.story.say("starting", "moto, an AWS on this machine: EC2 and STS, and SES apart")
        for name, url in (("moto", self.urls.ec2), ("moto-mail", self.urls.mail)):
            port = url.rpartition(":")[2]
            command = [sys.executable, "-m", "demo.emulator", "-H", "127.0.0.1", "-p", port]
            self.processes.start(name, *command, env={"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"})
        for name, url in (("moto", self.urls.ec2), ("moto-mail", self.urls.mail)):
            self.processes.until_ready(name, f"{url}/moto-api/", 60)
        cloud = Cloud(self.urls.ec2, self.urls.mail)
        if self.broken != "notifier":
            cloud.verify_sender()
        seed = machines()
        cloud.launch_all(seed)
        self.watch = Watch(cloud, Mailbox(self.urls.mail), seed)
        self.story.say("seeded", f"{len(seed)} instances in {len(AWS_ACCOUNTS)} AWS accounts and {len(REGIONS)} regions")
        self.story.say("starting", f"a stand-in for Dkron, which calls for each deadline: {self.urls.dkron}/v1/jobs")
        self.processes.start("dkron", sys.executable, "-m", "demo.dkron", self.urls.dkron.rpartition(":")[2])
        self.processes.until_ready("dkron", f"{self.urls.dkron}/v1/jobs", 30)
        self.start_zerocloud(self.start_github())

    def start_github(self) -> App:
        """The stand-in that people sign in with."""
        people = self.folder / "people.json"
        people.write_text(json.dumps(config.github_people()))
        port = self.urls.github.rpartition(":")[2]
        self.processes.start("github", str(self.github), "--port", port, "--people", str(people))
        said = self.processes.until_said("github", 30)
        return App(said["client_id"], said["client_secret"])

    def start_zerocloud(self, app: App) -> None:
        """With the embedded gateway."""
        ec2 = self.urls.ec2 if self.broken != "detector" else f"http://127.0.0.1:{self.nobody}"
        config.write(self.config, self.urls, app, self.folder / "data", ec2)
        # Colours do not belong into a file.
        command = [str(self.zerocloud), "--config", str(self.config), "serve"]
        self.processes.start("zerocloud", *command, env={"NO_COLOR": "1"})
        self.processes.until_ready("zerocloud", f"{self.urls.admin}/zerocloud/", 60)
        self.processes.until_ready("zerocloud", f"{self.urls.pages}/login", 60)
        self.story.say("serving", f"pages at {self.urls.pages}, documents at {self.urls.public}")
        if self.broken == "reaper":
            pause = [*command[:-1], "pause", "--all", "--reason", "a broken reaper"]
            subprocess.run(pause, timeout=60, check=True)

    def live(self, hints: bool) -> None:
        """A whole life. Returns early when something went wrong or did not come."""
        if not self.until(lambda: not self.watch.untold(), TOLD_WITHIN):
            return
        if hints:
            report.hints(self.people, self.processes.log("zerocloud"))
        self.people.act(self.watch)
        seconds = OVER_WITHIN_BROKEN if self.broken else OVER_WITHIN

        def over() -> bool:
            self.people.revive(self.watch)
            return not self.watch.missing()

        if self.until(over, seconds):
            self.until(lambda: False, AFTERWARDS)

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Looks on until `done`; false when that took too long or something is wrong."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.watch.wrong() or time.monotonic() > deadline:
                return False
            self.tick()
            time.sleep(TICK)
        return True

    def tick(self) -> None:
        """Looks once and tells."""
        self.processes.alive()
        try:
            mails = self.watch.tick()
            self.story.tick()
        except OSError as why:
            raise Failure(f"moto or the gateway does not answer: {why}") from why
        self.story.mailed(mails)

    def problems(self) -> list[str]:
        """Everything that is not as it should be, the worst first."""
        return self.watch.wrong() + self.watch.missing() + self._complaints()

    def _complaints(self) -> list[str]:
        """Errors in zerocloud's log, and a scheduler in vain; not where something was broken on purpose."""
        if self.broken:
            return []
        vanished = self.watch.histories[VANISHES].id
        lines = self.processes.tail("zerocloud", 100_000)
        bad = [line for line in lines if " ERROR " in line or "panicked" in line]
        bad += [line for line in lines if " WARN " in line and vanished in line]
        uncalled = [] if self.called() else ["the scheduler: none of its calls was taken"]
        return [f"zerocloud's log: {line}" for line in bad[:5]] + uncalled

    def called(self) -> int:
        """How many calls of the scheduler zerocloud has taken."""
        return sum(line.endswith(": 200") for line in self.processes.tail("dkron", 100_000))

    def verdict(self) -> int:
        """Prints it. 0 only when every expectation was met."""
        problems = self.problems()
        count = len(self.watch.histories)
        if not problems:
            self.story.say("passed", f"all {count} instances fared as they should; nothing ended without a mail before")
            self.story.say("called", f"zerocloud took {self.called()} calls of the scheduler, each for one deadline")
            if self.broken:
                print(f"BREAK={self.broken} was NOT noticed.")
            return 0
        bad, passed = self.watch.wrong() + self._complaints(), time.monotonic() - self.story.began
        late = checker.too_late(bad, self.watch.missing(), passed, os.getloadavg()[0], os.cpu_count() or 1)
        if late and not self.broken:
            self.story.say("late", late)
        else:
            self.story.say("wrong", f"{len(problems)} expectations were not met")
        by_machine: dict[str, list[str]] = {}
        for what in problems:
            machine, _, said = what.partition(": ")
            by_machine.setdefault(machine, []).append(said)
        for machine, all_said in list(by_machine.items())[:SHOWN]:
            print(f"  {machine}: {'; '.join(all_said)}")
        if len(by_machine) > SHOWN:
            print(f"  and {len(by_machine) - SHOWN} more instances")
        if self.broken:
            broken = BREAKS[self.broken]
            if broken.shows(self.watch):
                print(f"\nBREAK={self.broken} was noticed: {broken.how}; {broken.then}.")
            else:
                print(f"\nBREAK={self.broken}: it failed, but NOT for that reason.")
        return 1

    def last_words(self) -> None:
        """The end of zerocloud's log, after a failure."""
        print("\nThe last lines of zerocloud's log:")
        print("\n".join(f"  {line}" for line in self.processes.tail("zerocloud", 25)), flush=True)

    def stay(self) -> None:
        """Leaves it running and goes on telling."""
        report.hints(self.people, self.processes.log("zerocloud"))
        while True:
            self.tick()
            time.sleep(TICK)


def run(zerocloud: Path, github: Path, once: bool, broken: str | None) -> int:
    """The exit code: 0 when all went as expected, and in a run that stays, when it was ended by Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="zerocloud-demo-") as folder, Processes(Path(folder)) as processes:
        one = Run(zerocloud, github, Path(folder), processes, broken)
        if broken:
            one.story.say("broken", f"{broken}: {BREAKS[broken].how}")
        try:
            one.start()
            one.live(hints=not once)
            if once:
                report.tables(one.people, one.watch)
            code = one.verdict()
            if code != 0:
                one.last_words()
            if not once:
                one.stay()
            return code
        except (Failure, OSError, subprocess.SubprocessError) as why:
            one.story.say("failed", str(why))
            one.last_words()
            return 1
