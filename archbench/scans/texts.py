"""The texts of a spec, prepared: every one its own corpus, all under one tokenizer."""

from pathlib import Path

from archbench.data.cache import Report
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpora, prepare_corpus, require_same_tokenizer
from archbench.errors import DataError
from archbench.extras import REMEDY, MissingLibraryError, missing_training_library
from archbench.spec.models import Spec


def prepared_texts(spec: Spec, cache_dir: Path, report: Report) -> dict[str, Corpus]:
    """Name -> corpus, that of `data.dataset` first. Raises DataError, or MissingLibraryError, with the place."""
    data = spec.data
    try:
        if not data.texts:
            corpus = prepare_corpus(
                data.dataset,
                data.tokenizer,
                validation_fraction=data.validation_fraction,
                cache_dir=cache_dir,
                report=report,
            )
            return {data.name: corpus}
        corpora = prepare_corpora(
            data.all_texts,
            data.tokenizer,
            validation_fraction=data.validation_fraction,
            cache_dir=cache_dir,
            report=report,
        )
        require_same_tokenizer(corpora)
        return corpora
    except DataError as error:
        raise DataError(f"{_place(spec)}: data: {error}") from error
    except MissingLibraryError as error:
        raise MissingLibraryError(f"{_place(spec)}: data: {error}") from error
    except ModuleNotFoundError as error:
        library = missing_training_library(error)
        if library is None:
            raise
        words = f"data: is read by {library}, which is not installed: {REMEDY}"
        raise MissingLibraryError(f"{_place(spec)}: {words}") from error


def _place(spec: Spec) -> str:
    return spec.file.where(("data",) if spec.data.texts else ("data", "dataset"))
