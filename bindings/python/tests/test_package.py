"""The package against the stand-in of pg-backup-api. STANDIN names its program; BARMAN_RECOVER_LIBRARY, or the wheel that
is installed, has the library."""
from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
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
            self.assertEqual((result.code, result.state), (br.Code.RECOVERY_DONE, br.State.DONE))
            self.assertGreater(result.bytes, 0)
            kinds = {event.kind for event in events}
            self.assertLessEqual({br.EventKind.LOG, br.EventKind.STATE, br.EventKind.PROGRESS}, kinds)
            self.assertEqual([e.level for e in events if e.kind == br.EventKind.PROGRESS][-1], 100)
            listed = br.operations(api.options())
            self.assertEqual([(one.kind, one.state) for one in listed], [("recovery", br.State.DONE)])
            self.assertEqual(br.wait(api.options(), listed[0].id), listed[0])
            self.assertEqual(br.operation(api.options(), listed[0].id), listed[0])
            found = br.verify(api.options())
            self.assertEqual((found.state, found.backup_id), (br.Verified.COMPLETE, "20260101T000000"))
            self.assertEqual([(one.id, one.is_complete) for one in br.backups(api.options())], [("20260101T000000", True)])

    def test_each_end_has_its_exception_with_the_result(self) -> None:
        with Standin("--fill", "--duration-ms", "100", "--result", "FAILED") as api:
            with self.assertRaises(br.RecoveryFailed) as raised:
                br.restore(api.options())
            self.assertEqual(raised.exception.result.state, br.State.FAILED)
            with self.assertRaises(br.HttpError):
                br.restore(dataclasses.replace(api.options(), barman_server="nope"))
            with self.assertRaises(br.Error):
                br.wait(api.options(), "20010101T010101")
        with self.assertRaises(br.ApiNotOk):
            br.restore(br.Options(api_url="http://127.0.0.1:1", barman_server="m", ssh_command="s",
                                  data_directory="/nonexistent/data", max_retries=1))

    def test_wrong_options_are_refused_before_anything_is_sent(self) -> None:
        for wrong in [{"api_url": "x"}, {"loop_wait": -1}, {"backup_id": "a\0b"}, {"ssh_command": b"x\0y".decode()}]:
            with self.assertRaises(br.InvalidArgument):
                br.restore(br.Options(**wrong))
        with self.assertRaises(TypeError):
            br.restore(br.Options(api_url=["x"]))  # type: ignore[arg-type]
        with self.assertRaises(br.InvalidArgument):
            br.wait(br.Options(), "a\0b")

    def test_a_check_returns_its_findings(self) -> None:
        with Standin(*QUICK) as api:
            whats = {finding.what: finding.verdict for finding in br.check(api.options())}
            self.assertEqual(whats["API"], br.Verdict.OK)

    def test_an_exception_of_the_host_ends_the_restore(self) -> None:
        class Stop(Exception):
            pass

        def stop(event: br.Event) -> None:
            if event.kind == br.EventKind.PROGRESS:
                raise Stop

        with Standin(*LONG) as api:
            with self.assertRaises(Stop):
                br.restore(api.options(), stop)
            self.assertEqual(br.operations(api.options())[0].state, br.State.FAILED)

    def test_a_restore_that_nobody_follows_is_ended(self) -> None:
        class Leave(Exception):
            pass

        def leave(event: br.Event) -> None:
            if event.kind == br.EventKind.PROGRESS:
                raise Leave

        with Standin(*LONG) as api:
            with self.assertRaises(Leave):
                br.restore(api.options(leave_running=True), leave)
            self.assertEqual(br.operations(api.options())[0].state, br.State.IN_PROGRESS)
            br.end_restore(api.options())
            self.assertEqual(br.operations(api.options())[0].state, br.State.FAILED)
            self.assertEqual(br.verify(api.options()).state, br.Verified.INCOMPLETE)

    def test_ctrl_c_ends_the_restore(self) -> None:
        with Standin(*LONG) as api:
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
            with self.assertRaises(KeyboardInterrupt):
                br.restore(api.options())
            self.assertEqual(br.operations(api.options())[0].state, br.State.FAILED)

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
        async def main() -> br.State:
            with Standin(*LONG) as api:
                task = asyncio.create_task(aio.restore(api.options()))
                await asyncio.sleep(1)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                state = (await aio.operations(api.options()))[0].state
                assert state is not None
                return state

        self.assertEqual(asyncio.run(main()), br.State.FAILED)


class Border(unittest.TestCase):
    """The package against the header and the library."""

    def header(self) -> str:
        text = (ROOT / "include/barman_recover.h").read_text()
        return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)

    def test_every_function_has_the_types_of_the_header(self) -> None:
        types = {"int32_t": "i", "uint32_t": "u", "uint64_t": "U", "const char *": "s", "void": "v", "void *": "p",
                 "barman_recover *": "h", "const barman_recover *": "h", "barman_recover_event_fn": "f"}

        def letter(declared: str) -> str:
            kind = re.sub(r"(\*)?\s*\w+$", r"\1", declared.strip()).strip() if " " in declared.strip() else declared
            return types[re.sub(r"\s*\*", " *", kind)]

        found = {}
        for result, name, arguments in re.findall(
            r"^((?:const )?\w+ \*?)\s*barman_recover_(\w+)\(([^;{]*)\);", self.header(), re.MULTILINE
        ):
            listed = [] if arguments.strip() == "void" else arguments.split(",")
            found[name] = (types[re.sub(r"\s*\*", " *", result.strip())], "".join(map(letter, listed)))
        setters = {name for name in found if name.startswith("set_") and name != "set_event_callback"}
        self.assertEqual({name: found[name] for name in found if name not in setters}, _library.FUNCTIONS)

    def test_the_numbers_are_those_of_the_header(self) -> None:
        numbers = dict(re.findall(r"BARMAN_RECOVER_(\w+) = (-?\d+)", self.header()))
        for enum, prefix in [(br.Code, ""), (br.SwitchCode, "SWITCH_"), (br.State, "STATE_"), (br.Level, "LEVEL_"),
                             (br.EventKind, "EVENT_"), (br.Verdict, "VERDICT_"), (br.Verified, "VERIFIED_"),
                             (br.BusyReason, "BUSY_")]:
            for member in enum:
                self.assertEqual(numbers.pop(prefix + member.name), str(member.value))
        self.assertEqual({name for name in numbers if not name.startswith("KIND_")}, set())
        self.assertEqual((br.Code(77), br.Code(77).name), (77, "UNKNOWN_77"))

    def test_the_options_are_those_of_the_library(self) -> None:
        library = _library.load()
        names = [library.barman_recover_option_name(i).decode() for i in range(library.barman_recover_option_count())]
        self.assertEqual([name.replace("-", "_") for name in names],
                         [field.name for field in dataclasses.fields(br.Options)])


if __name__ == "__main__":
    sys.exit(unittest.main())
