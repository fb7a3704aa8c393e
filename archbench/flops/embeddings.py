"""Which parameters count as embeddings, found by comparing two models of different vocabulary and context."""

from torch import nn

from archbench.contracts.architecture import ModelDims


def larger_tables(dims: ModelDims) -> ModelDims:
    """`dims` with another vocabulary and context: only embeddings change their shape."""
    return dims.model_copy(update={"vocab_size": dims.vocab_size + 8, "seq_len": 2 * dims.seq_len})


def embedding_names(model: nn.Module, larger: nn.Module, dims: ModelDims) -> set[str]:
    """Names of the parameters of `model`, which has `dims`, that are embeddings; `larger` has `larger_tables(dims)`.

    These are the parameters whose shape changes with the vocabulary or the context (token and learned position
    embeddings, output matrix and its bias), and the tables that `nn.Embedding` looks up in the width of the model or of
    one of those (segments, which may be narrower than the model where embeddings are factorised).
    """
    shapes = {name: parameter.shape for name, parameter in larger.named_parameters()}
    growing = {name: parameter for name, parameter in model.named_parameters() if parameter.shape != shapes.get(name)}
    grown = {id(parameter) for parameter in growing.values()}
    lookups = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    widths = {dims.d_model, *(module.embedding_dim for module in lookups if id(module.weight) in grown)}
    tables = {id(module.weight) for module in lookups if module.embedding_dim in widths}
    return growing.keys() | {name for name, parameter in model.named_parameters() if id(parameter) in tables}
