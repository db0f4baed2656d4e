"""The one place that counts processor cores."""

import os


def usable_cores() -> int:
    """Return on how many cores this process may run, at least 1.

    A scheduler or a container often allows fewer than the machine has: that counts, where the system tells.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it
        return os.cpu_count() or 1
