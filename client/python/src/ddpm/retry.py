"""When to try again: pauses that grow, and how long to go on. Time is an argument.

What runs out is patience. All time without an open stream costs it; an open stream costs none, and a sample refills it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ddpm.errors import DdpmError, Refused

#: By how much pauses vary, so that clients of one server do not return together.
_JITTER = 0.25
#: Seconds of patience with an address where nothing has answered yet: it may be wrong.
_PATIENCE_WITH_STRANGERS = 3.0
#: Seconds before the second attempt; each further pause is twice as long.
_FIRST_PAUSE = 0.25
#: Seconds of the longest pause of our own.
_LONGEST_PAUSE = 15.0


@dataclass
class Backoff:
    """The attempts of one run."""

    #: Seconds to go on without an open stream, in all since the last sample; 0: never retry.
    patience: float
    #: Whether a server has ever answered at this address.
    reached: bool = False
    _failures: int = 0
    _waited: float = 0.0
    _waiting_since: float | None = None

    def begins(self, now: float) -> None:
        """Notes that an attempt begins."""
        if self._waiting_since is None:
            self._waiting_since = now

    def heard(self, now: float) -> None:
        """Notes an event of an open stream."""
        self.reached = True
        self._stop_waiting(now)

    def progressed(self) -> None:
        """Notes that a sample arrived."""
        self._failures, self._waited, self._waiting_since = 0, 0.0, None

    def pause(self, error: DdpmError, now: float) -> float | None:
        """Returns the seconds to wait after a failed attempt.

        None if another one would not help, patience is over, or the server asks for more than what is left of it.
        """
        if not error.is_transient:
            return None
        refused = isinstance(error, Refused)
        self.reached = self.reached or refused
        self._stop_waiting(now)
        patience = self.patience if self.reached else min(self.patience, _PATIENCE_WITH_STRANGERS)
        left = patience - self._waited
        asked = (error.retry_after or 0.0) if isinstance(error, Refused) else 0.0
        if left <= 0 or asked > left:
            return None
        own = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 16), _LONGEST_PAUSE)
        own *= 1 + _JITTER * random.uniform(-1, 1)
        self._failures += 1
        self._waiting_since = now
        return min(max(own, asked * (1 + _JITTER * random.random())), left)

    def _stop_waiting(self, now: float) -> None:
        if self._waiting_since is not None:
            self._waited += max(0.0, now - self._waiting_since)
            self._waiting_since = None
