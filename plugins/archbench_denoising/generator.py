"""What replaced-token detection trains beside the model: a generator and a classifier. Imports torch."""

import torch
from torch import Tensor, nn

from archbench.api import ModelDims

INIT_STD = 0.02
"""Of all matrices and tables, as of BERT's."""


class Generator(nn.Module):
    """A small encoder of plain Transformer blocks that proposes hidden states where tokens are masked.

    Its tables of tokens and positions are its own; its output is as wide as the model, whose output matrix (and thus,
    where that is tied, whose token embeddings) turns it into logits.
    """

    def __init__(self, dims: ModelDims, output_width: int) -> None:
        """`dims`: the generator's shape; output_width: of its result."""
        super().__init__()
        self.tokens = nn.Embedding(dims.vocab_size, dims.d_model)
        self.positions = nn.Embedding(dims.seq_len, dims.d_model)
        self.norm = nn.LayerNorm(dims.d_model)
        # Not nn.TransformerEncoder, which copies its first block: copies of tensors without data crash where FLOPs are
        # counted on those.
        self.blocks = nn.Sequential(*(_block(dims) for _ in range(dims.n_layers)))
        self.output = nn.Linear(dims.d_model, output_width)

    def forward(self, tokens: Tensor, where: Tensor) -> Tensor:
        """Proposals [rows, places, output_width] for positions `where` [rows, places] of `tokens` [rows, length]."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden: Tensor = self.blocks(self.norm(self.tokens(tokens) + self.positions(places)))
        chosen = hidden.gather(1, where[..., None].expand(-1, -1, hidden.shape[-1]))
        proposals: Tensor = self.output(chosen)
        return proposals


def _block(dims: ModelDims) -> nn.Module:
    return nn.TransformerEncoderLayer(
        dims.d_model, dims.n_heads, dims.d_ff, dropout=0.0, activation="gelu", batch_first=True
    )


class DetectionHead(nn.Module):
    """The generator, and the classifier of the model's hidden states."""

    def __init__(self, dims: ModelDims, generator_dims: ModelDims) -> None:
        super().__init__()
        self.generator = Generator(generator_dims, dims.d_model)
        self.classifier = nn.Sequential(nn.Linear(dims.d_model, dims.d_model), nn.GELU(), nn.Linear(dims.d_model, 1))
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits [rows, length] that the tokens under `hidden` [rows, length, d_model] were replaced."""
        scores: Tensor = self.classifier(hidden)
        return scores.squeeze(-1)


def sampled(logits: Tensor, draws: Tensor) -> Tensor:
    """Tokens [...] from softmax(`logits` [..., vocab_size]) by `draws` [...], numbers in [0, 1).

    By the inverse of the distribution function and not by torch's generator: each place has a draw of its own, so that
    a token does not depend on how the batch was cut.
    """
    below = logits.float().softmax(-1).cumsum(-1) <= draws[..., None]
    # Where rounding leaves the last sum below one, a draw may exceed it.
    return below.sum(-1).clamp(max=logits.shape[-1] - 1)
