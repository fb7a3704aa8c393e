"""Which parameters count as embeddings, found by comparing two models of different vocabulary and context."""

from torch import nn

from archbench.contracts.architecture import ModelDims
from archbench.nn.language_model import LanguageModel


def larger_tables(dims: ModelDims) -> ModelDims:
    """`dims` with another vocabulary and context: only embeddings change their shape."""
    return dims.model_copy(update={"vocab_size": dims.vocab_size + 8, "seq_len": 2 * dims.seq_len})


def embedding_names(model: LanguageModel, larger: LanguageModel, dims: ModelDims) -> set[str]:
    """Names of the parameters of `model`, which has `dims`, that are embeddings; `larger` has `larger_tables(dims)`.

    These are the parameters whose shape changes with the vocabulary or the context (token and learned position
    embeddings, output matrix and its bias), and the tables of width d_model that `nn.Embedding` looks up (segments).
    """
    shapes = {name: parameter.shape for name, parameter in larger.named_parameters()}
    tables = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.embedding_dim == dims.d_model
    }
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.shape != shapes.get(name) or id(parameter) in tables
    }
