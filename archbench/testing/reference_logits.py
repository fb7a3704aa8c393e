"""Holds a module against the model of transformers that it wraps or rewrites."""

import torch
from torch import nn

from archbench.api import ModelDims
from archbench.nn.language_model import LanguageModel
from archbench.testing.probes import random_tokens


def assert_reference_logits(model: LanguageModel, reference: nn.Module, dims: ModelDims) -> None:
    """Whether `model` computes the logits of `reference` once that has its weights, within the rounding of fp32.

    `reference` is a language model of transformers; its parameters stand in the order of those of `model`, whatever
    their names. Where it has token types, the second half of the context is of the second. Raises AssertionError.
    """
    reference.load_state_dict(dict(zip(reference.state_dict(), model.state_dict().values(), strict=True)))
    tokens = random_tokens(2, dims)
    inputs, reference_inputs = {}, {"attention_mask": torch.ones_like(tokens)}
    if getattr(reference.config, "type_vocab_size", 0):
        inputs["token_types"] = (torch.arange(dims.seq_len) >= dims.seq_len // 2).long().expand_as(tokens)
        reference_inputs["token_type_ids"] = inputs["token_types"]
    expected = reference.eval()(tokens, **reference_inputs).logits
    # Other kernels sum in another order, and compute tanh in another way.
    torch.testing.assert_close(model(tokens, **inputs), expected, atol=1e-5, rtol=1e-4)
