"""The wrapper of examples/recover.py among threads, with asyncio, and when its logger fails."""
import asyncio
import gc
import logging
import os
import threading
import unittest

import recover

API, DIRECTORY = os.environ["HOST_API"], os.environ["HOST_DIRECTORY"]


class Listener(logging.Handler):
    """Tells of a line that the library logged."""

    def __init__(self, words):
        super().__init__()
        self.words, self.heard, self.lines = words, threading.Event(), []

    def emit(self, record):
        self.lines.append(record.getMessage())
        if self.words in self.lines[-1]:
            self.heard.set()


def listening(words):
    logger = logging.Logger("test")
    logger.addHandler(Listener(words))
    return logger, logger.handlers[0]


def options(server, name):
    return dict(api_url=API, barman_server=server, ssh_command="ssh node", data_directory=f"{DIRECTORY}/{name}")


class Hosts(unittest.TestCase):
    def test_recover_restores(self):
        logger, listener = listening(": DONE")
        recover.recover(logger=logger, verify=True, loop_wait=1, **options("main", "alone"))
        self.assertTrue(listener.heard.is_set(), listener.lines)

    def test_threads_go_on_and_cancel(self):
        def stuck(number):
            logger, listener = listening(": IN_PROGRESS")
            recovery = recover.Recovery(logger=logger, **options("stuck", f"stuck{number}"))
            canceller = threading.Thread(target=lambda: listener.heard.wait(60) and recovery.cancel())
            canceller.start()
            with self.assertRaises(recover.Error) as caught:
                recovery.run()
            canceller.join()
            self.assertEqual((caught.exception.name, caught.exception.may_be_running), ("CANCELLED", True))
            ended.append(number)

        def done(number):
            recover.Recovery(**options("main", f"done{number}")).run()
            ended.append(number)

        ended = []
        threads = [threading.Thread(target=[stuck, done][n % 2], args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
            gc.collect()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(ended), list(range(16)))

    def test_asyncio_cancels(self):
        async def ends_early():
            logger, listener = listening(": IN_PROGRESS")
            recovery = recover.Recovery(logger=logger, **options("stuck", "asyncio"))
            run = asyncio.create_task(asyncio.to_thread(recovery.run))
            while not listener.heard.is_set():
                await asyncio.sleep(0.01)
            recovery.cancel()
            with self.assertRaises(recover.Error):
                await run

        asyncio.run(ends_early())

    def test_what_the_logger_raises_comes_out(self):
        class Failing(logging.Logger):
            def log(self, *_):
                raise RuntimeError("the disk is full")

        with self.assertRaisesRegex(RuntimeError, "the disk is full"):
            recover.recover(logger=Failing("test"), **options("stuck", "failing"))

    def test_a_wrong_option_is_an_error(self):
        with self.assertRaises(recover.Error) as caught:
            recover.recover(api_url="no URL")
        self.assertEqual(caught.exception.name, "INVALID_ARGUMENT")
        self.assertIn("--api-url", str(caught.exception))


unittest.main()
