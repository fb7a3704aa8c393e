"""The torch part."""

import torch
from torch import Tensor, nn

from archbench.api import ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, State


class Block(nn.Module):
    def __init__(self, dims: ModelDims) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dims.d_model)
        self.up = nn.Linear(dims.d_model, dims.d_ff)
        self.down = nn.Linear(dims.d_ff, dims.d_model)

    def forward(self, x: Tensor) -> Tensor:
        counts = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
        mixed = self.norm(x).cumsum(dim=1) / counts
        return x + self.down(nn.functional.gelu(self.up(mixed)))


class AverageAttentionModel(LanguageModel):
    def __init__(self, dims: ModelDims) -> None:
        super().__init__()
        self.embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dims) for _ in range(dims.n_layers))
        self.norm = nn.LayerNorm(dims.d_model)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return Encoded(self.norm(x), None)

    def logits(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden, self.embedding.weight)
