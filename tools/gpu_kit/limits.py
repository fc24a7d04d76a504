"""Time limits: of one part, and of all parts together."""

import contextlib
import signal
import time


class OutOfTime(Exception):
    """The time of a block is over."""


@contextlib.contextmanager
def limit(seconds):
    """Raises OutOfTime in this block, which runs in the main thread, once `seconds` are over.

    The alarm's signal interrupts whatever the block waits for: a process, a socket, a thread.
    """
    def over(_number, _frame):
        raise OutOfTime(f"it was not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Budget:
    """The time that all parts have together."""

    def __init__(self, seconds):
        self.seconds = seconds
        self._begin = time.monotonic()

    def used(self):
        return time.monotonic() - self._begin

    def left(self):
        return self.seconds - self.used()
