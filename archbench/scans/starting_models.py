"""Which saved model a run of a given size begins from, checked against the architecture and the text."""

from archbench.contracts.architecture import ModelDims
from archbench.contracts.objective import model_vocab_size, trained_params
from archbench.data.corpus import Corpus
from archbench.errors import SpecError
from archbench.runs.model_folder import ModelFolder, read_model_folder, require_same_vocabulary
from archbench.spec.models import Contender
from archbench.units import human_count

_SIZE_TOLERANCE = 0.05
"""As far as a rung of a ladder may be from the size asked for."""


def starting_model(contender: Contender, size: float, *, seq_len: int, corpus: Corpus) -> tuple[ModelFolder, ModelDims]:
    """The folder among `contender.start` whose model has about `size` parameters, and the shape to be trained.

    Raises SpecError, in one line, where there is none, or where it does not fit the architecture, the context or the
    tokenizer.
    """
    found = {}
    for path in contender.start:
        folder = read_model_folder(path)
        dims = _dims(contender, folder, seq_len=seq_len, corpus=corpus)
        count = trained_params(contender.architecture, contender.objective, dims).non_embedding
        if abs(count - size) <= _SIZE_TOLERANCE * size:
            return folder, dims
        found[str(folder.path)] = count
    have = ", ".join(f"{path} has {human_count(count)} ({count:.4g})" for path, count in found.items())
    raise SpecError(
        f"no model to start from has {size:g} parameters without embeddings: {have}; write these into scan.sizes"
    )


def _dims(contender: Contender, folder: ModelFolder, *, seq_len: int, corpus: Corpus) -> ModelDims:
    try:
        saved = contender.architecture.saved_model(folder.config)
    except ValueError as error:
        raise SpecError(f"{folder.path}: {error}; start from a model of the same architecture") from error
    if saved.dims.seq_len < seq_len:
        raise SpecError(
            f"{folder.path}: has a context of {saved.dims.seq_len} tokens; lower training.seq_len, which is {seq_len}"
        )
    require_same_vocabulary(folder, corpus)
    if saved.dims.vocab_size != corpus.text_vocab_size:
        raise SpecError(
            f"{folder.path}: has a vocabulary of {saved.dims.vocab_size} ids, the tokenizer "
            f"{corpus.tokenizer['kind']!r} of the text has {corpus.text_vocab_size}; use the model's own tokenizer"
        )
    vocab_size = model_vocab_size(corpus.text_vocab_size, contender.objective)
    return saved.dims.model_copy(update={"seq_len": seq_len, "vocab_size": vocab_size})
