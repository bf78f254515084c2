"""The package against the stand-in of pg-backup-api. STANDIN names its program; BARMAN_RECOVER_LIBRARY, or the wheel that
is installed, has the library."""
from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from datetime import timedelta
from pathlib import Path

import barman_recover as br
from barman_recover import _library, aio

ROOT = Path(__file__).resolve().parents[3]


class Standin:
    """A pg-backup-api of one server, whose restores take a while."""

    def __init__(self, *arguments: str) -> None:
        self.directory = tempfile.TemporaryDirectory()
        port = Path(self.directory.name, "port")
        self.process = subprocess.Popen(
            [os.environ["STANDIN"], "--listen", "127.0.0.1:0", "--port-file", str(port), "--server", "main",
             "--backup", "20260101T000000", *arguments]
        )
        while not (port.exists() and port.read_text().strip()):
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{port.read_text().strip()}"

    def options(self, **more: object) -> br.Options:
        return br.Options(api_url=self.url, barman_server="main", ssh_command="ssh x",
                          data_directory=Path(self.directory.name, "data"), **more)

    def wait_for(self, state: str) -> None:
        while br.operations(self.options())[0].state != state:
            time.sleep(0.1)

    def __enter__(self) -> "Standin":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()


QUICK = ("--fill", "--duration-ms", "300")
LONG = ("--fill", "--duration-ms", "60000")


class Commands(unittest.TestCase):
    def test_a_restore_reports_its_events_and_returns_its_result(self) -> None:
        events: list[br.Event] = []
        with Standin(*QUICK) as api:
            result = br.restore(api.options(loop_wait=timedelta(seconds=0.5)), events.append)
            self.assertEqual((result.code, result.operation_state), (0, "DONE"))
            self.assertGreater(result.bytes, 0)
            self.assertEqual({event.kind for event in events}, {"log", "state", "progress"})
            self.assertEqual([e.percent for e in events if e.kind == "progress"][-1], 100)
            listed = br.operations(api.options())
            self.assertEqual([(one.id, one.kind, one.state) for one in listed], [(result.operation_id, "recovery", "DONE")])
            found = br.verify(api.options())
            self.assertEqual((found.state, found.backup["id"]), ("complete", "20260101T000000"))
            self.assertEqual(br.settle(api.options()).moved_to, [])
            self.assertEqual([(one.id, one.is_complete) for one in br.backups(api.options())], [("20260101T000000", True)])

    def test_each_end_has_its_exception_with_the_result(self) -> None:
        with Standin("--fill", "--duration-ms", "100", "--result", "FAILED") as api:
            with self.assertRaises(br.RecoveryFailed) as raised:
                br.restore(api.options())
            self.assertEqual(raised.exception.result.operation_state, "FAILED")
            self.assertEqual(pickle.loads(pickle.dumps(raised.exception)).result, raised.exception.result)
            with self.assertRaises(br.HttpError):
                br.restore(dataclasses.replace(api.options(), barman_server="nope"))
            with self.assertRaises(br.HttpError):
                br.operations(dataclasses.replace(api.options(), barman_server="nope"))
        with self.assertRaises(br.ApiNotOk):
            br.restore(br.Options(api_url="http://127.0.0.1:1", barman_server="m", ssh_command="s",
                                  data_directory="/nonexistent/data", max_retries=1))

    def test_wrong_options_are_refused_before_anything_is_sent(self) -> None:
        for wrong in [{"api_url": "x"}, {"loop_wait": -1}, {"loop_wait": -0.5}, {}]:
            with self.assertRaises(br.InvalidArgument):
                br.restore(br.Options(**wrong))
        with self.assertRaisesRegex(ValueError, "backup_id: must not contain a NUL"):
            br.restore(br.Options(backup_id="a\0b"))
        with self.assertRaises(TypeError):
            br.restore(br.Options(api_url=["x"]))  # type: ignore[arg-type]
        with self.assertRaisesRegex(br.InvalidArgument, "did you mean 'loop-wait'?"):
            br.restore(br.Options(extra={"lop-wait": 1}))

    def test_a_check_returns_its_findings(self) -> None:
        with Standin(*QUICK) as api:
            whats = {finding.what: finding.verdict for finding in br.check(api.options())}
            self.assertEqual((whats["API"], whats["probe"]), ("OK", "OK"))

    def test_an_exception_of_the_host_ends_the_restore(self) -> None:
        class Stop(Exception):
            pass

        def stop(event: br.Event) -> None:
            if event.kind == "progress":
                raise Stop

        with Standin(*LONG) as api:
            with self.assertRaises(Stop):
                br.restore(api.options(), stop)
            api.wait_for("FAILED")

    def test_a_config_switch_says_whether_it_switched(self) -> None:
        with Standin(*QUICK) as api:
            for role, switched in [("replica", False), ("primary", True)]:
                options = api.options(role=role, barman_model="model", switch_when="promoted")
                self.assertEqual(br.config_switch(options).switched, switched)

    def test_ctrl_c_ends_the_restore(self) -> None:
        # Python leaves a signal ignored that its caller ignores, as a shell does for a job in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Standin(*LONG) as api:
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
            with self.assertRaises(KeyboardInterrupt):
                br.restore(api.options())
            api.wait_for("FAILED")

    def test_forty_threads_restore_side_by_side(self) -> None:
        codes: list[int] = []
        with Standin(*QUICK, "--unique-ids") as api:
            def work(number: int) -> None:
                options = api.options()
                options.data_directory = Path(api.directory.name, f"data{number}")
                codes.append(br.restore(options).code)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(codes, [0] * 40)


class Asyncio(unittest.TestCase):
    def test_a_restore_leaves_the_loop_free(self) -> None:
        async def main() -> tuple[br.Result, int]:
            with Standin(*QUICK) as api:
                task, ticks = asyncio.create_task(aio.restore(api.options())), 0
                while not task.done():
                    await asyncio.sleep(0.01)
                    ticks += 1
                return await task, ticks

        result, ticks = asyncio.run(main())
        self.assertEqual(result.code, 0)
        self.assertGreater(ticks, 5)

    def test_a_cancelled_task_ends_the_restore(self) -> None:
        async def main() -> str:
            with Standin(*LONG) as api:
                task = asyncio.create_task(aio.restore(api.options()))
                await asyncio.sleep(1)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                api.wait_for("FAILED")
                return (await aio.operations(api.options()))[0].state

        self.assertEqual(asyncio.run(main()), "FAILED")


class Border(unittest.TestCase):
    """The package against the header and the library."""

    def test_each_code_of_the_header_has_its_exception(self) -> None:
        names = re.findall(r"BARMAN_RECOVER_(\w+) = -?\d+", (ROOT / "include/barman_recover.h").read_text())
        of_codes = {name.title().replace("_", "") for name in names} - {"RecoveryDone", "NoCommand"}
        self.assertEqual({error.__name__ for error in br.Error.__subclasses__()}, of_codes)

    def test_the_options_are_those_of_the_library(self) -> None:
        table = json.loads(_library.load().barman_recover_options())
        names = {option["name"].replace("-", "_") for option in table}
        self.assertEqual({field.name for field in dataclasses.fields(br.Options)} - {"extra"}, names)


class Scenarios(unittest.TestCase):
    """The table that hosts of every language run."""

    def play(self, common: dict, scenario: dict) -> "str | None":
        words = [os.environ["STANDIN"], *common["standin"], *scenario.get("standin", []), "--script", "-"]
        with tempfile.TemporaryDirectory() as directory, subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as standin:
            standin.stdin.write(json.dumps(scenario.get("script", {})))
            standin.stdin.close()
            url = standin.stdout.readline().split()[-1]
            extra = {**common["options"], **scenario.get("options", {}), "api-url": url,
                     "data-directory": f"{directory}/data"}
            try:
                result = br.restore(br.Options(extra=extra))
            except br.Error as failure:
                result = failure.result
            creates = json.load(urllib.request.urlopen(url + "/_standin/journal"))["creates"]
            standin.kill()
        found = (result.code_name, result.operation_state, creates)
        expected = tuple(scenario[key] for key in ("code", "state", "creates"))
        return None if found == expected else f"{scenario['name']}: {found} instead of {expected}: {result.message}"

    @unittest.skipUnless((ROOT / "tests/scenarios.json").exists(), "the table is not beside this package")
    def test_every_scenario_ends_as_the_table_says(self) -> None:
        table = json.loads((ROOT / "tests/scenarios.json").read_text())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            wrong = pool.map(lambda scenario: self.play(table["common"], scenario), table["scenarios"])
            self.assertEqual([one for one in wrong if one], [])


if __name__ == "__main__":
    sys.exit(unittest.main())
