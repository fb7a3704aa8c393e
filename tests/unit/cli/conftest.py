"""A real store of made-up runs, for commands that read."""

from collections.abc import Callable

import pytest

from archbench.testing.synthetic_store import store_records


@pytest.fixture(scope="session")
def fill() -> Callable[..., None]:
    """Puts made-up runs into a store, as a scan: fill(store, name, records)."""
    return store_records
