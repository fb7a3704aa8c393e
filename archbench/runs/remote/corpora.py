"""Prepared texts in a store of objects: a worker on another machine has the driver's plan, and not its cache."""

import contextlib
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from archbench.data.corpus import MANIFEST, open_corpus, verify_corpus
from archbench.errors import DataError, StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DiskRefused
from archbench.runs.remote.objects import Objects
from archbench.spec.identity import RunPlan

_FOLDER = "texts"


def push_texts(objects: Objects, plans: Iterable[RunPlan]) -> None:
    """Uploads the prepared texts of `plans` that the store does not have, of each the manifest last.

    Texts that are not here are left to those who have them. Raises as `Objects`.
    """
    texts: dict[str, str] = {}
    for plan in plans:
        texts |= _texts_of(plan)
    for corpus_hash, folder in texts.items():
        prefix = f"{_FOLDER}/{corpus_hash}/"
        if not _is_here(folder, corpus_hash) or f"{prefix}{MANIFEST}" in objects.keys(prefix):
            continue
        files = [path for path in sorted(Path(folder).iterdir()) if path.is_file() and not path.name.startswith(".")]
        for path in sorted(files, key=lambda one: one.name == MANIFEST):
            objects.put(f"{prefix}{path.name}", path)


def fetch_texts(objects: Objects, directory: RunDirectory, root: Path) -> None:
    """Has the run's plan name texts that are on this machine: as planned, or fetched into `root`.

    Raises StoreError where neither this machine nor the store has one of them.
    """
    plan = directory.read_plan()
    places = {
        one: folder if _is_here(folder, one) else str(_fetched(objects, one, root))
        for one, folder in _texts_of(plan).items()
    }
    others = {one: places[one] for one in plan.execution.other_corpora}
    execution = plan.execution.model_copy(
        update={"corpus_dir": places[plan.identity.data.corpus_hash], "other_corpora": others}
    )
    if execution != plan.execution:
        directory.write_plan(plan.model_copy(update={"execution": execution}))


def _texts_of(plan: RunPlan) -> dict[str, str]:
    """Hash -> folder."""
    return {**plan.execution.other_corpora, plan.identity.data.corpus_hash: plan.execution.corpus_dir}


def _is_here(folder: str, corpus_hash: str) -> bool:
    with contextlib.suppress(DataError):
        return open_corpus(Path(folder)).corpus_hash == corpus_hash
    return False


def _fetched(objects: Objects, corpus_hash: str, root: Path) -> Path:
    """The folder below `root` with a text of the store, every byte of which was looked at when it came."""
    final = (root / _FOLDER / corpus_hash).resolve()
    if _is_here(str(final), corpus_hash):
        return final
    prefix = f"{_FOLDER}/{corpus_hash}/"
    keys = objects.keys(prefix)
    if f"{prefix}{MANIFEST}" not in keys:
        raise StoreError(
            f"{objects.url}: holds no text {corpus_hash[:12]}, nor does this machine; `archbench run` on the scan's "
            "spec uploads it from where it was planned"
        )
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex[:12]}")
    try:
        temporary.mkdir(parents=True)
        for key in keys:
            objects.fetch(key, temporary / key.removeprefix(prefix))
        corpus = open_corpus(temporary)
        verify_corpus(corpus)
        if corpus.corpus_hash != corpus_hash:
            raise StoreError(f"{objects.url}/{prefix}: holds another text than its name says; remove it")
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except DataError as error:
        raise StoreError(f"{objects.url}/{prefix}: {error}") from error
    except OSError as error:
        raise DiskRefused(f"{final}: cannot be written: {error.strerror}; free space there") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final
