"""The output of models that are made of archbench's own parts."""

import torch
from torch import nn

from archbench.nn.language_model import Projection


class Output(nn.Module):
    """An output matrix, unless it is that of the token embeddings, and a bias of the logits, if there is one."""

    def __init__(self, d_model: int, vocab_size: int, *, tied: bool, bias: bool) -> None:
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocab_size, d_model))
        self.bias = nn.Parameter(torch.zeros(vocab_size)) if bias else None

    def initialise(self, std: float) -> None:
        """Draws the matrix, if it is one of its own, from a normal distribution."""
        if self.weight is not None:
            nn.init.normal_(self.weight, std=std)

    def weights(self, tokens: nn.Embedding) -> Projection:
        """For `LanguageModel.output_weights`, in a model with these token embeddings."""
        return Projection(tokens.weight if self.weight is None else self.weight, self.bias)
