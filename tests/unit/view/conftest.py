"""Stores of made-up runs, and servers of their page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from view_pages import Client, Folder, made_up_folder, serving

from archbench.view.catalogue import Catalogue


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A store with the scan `demo`, and a report of it; for all tests."""
    return made_up_folder(tmp_path_factory.mktemp("view"))


@pytest.fixture
def folder(made_up: Folder, tmp_path: Path) -> Folder:
    """The same for one test."""
    return made_up.copied(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[[Catalogue], Client]]:
    """Starts servers, which end with the test."""
    with ExitStack() as servers:
        yield lambda catalogue: servers.enter_context(serving(catalogue))
