"""Logging as wrappers import it. Lines go to standard error, which the loader turns into its own log lines."""

import logging
import sys


def getFileLogger(name="wrapper", level=logging.INFO, **_ignored):
    """A logger for a wrapper. The predecessor wrote to a file; a process in a container writes to its output."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level)
    return logger


log = getFileLogger()
