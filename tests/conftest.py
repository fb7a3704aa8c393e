"""What all tests share."""

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """What a script starts in the background ignores Ctrl-C and hands that on; tests that send it need it heard."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
