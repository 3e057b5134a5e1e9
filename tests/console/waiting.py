"""Waiting for a condition, with a deadline."""

import time

# Everything that a page shows by itself is there within this, on a busy machine.
WITHIN_S = 30


def awaited(what, condition, within=WITHIN_S, every=0.1):
    """Waits until the condition gives something true, and returns that; fails with its last answer."""
    end = time.monotonic() + within
    while True:
        try:
            last = condition()
        except OSError as error:
            last = error
        else:
            if last:
                return last
        if time.monotonic() >= end:
            raise AssertionError(f"not within {within} s: {what}; last: {last!r}")
        time.sleep(every)
