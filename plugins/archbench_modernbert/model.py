"""ModernBERT as an archbench language model. Imports torch and transformers."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers.initialization import no_init_weights
from transformers.models.modernbert.configuration_modernbert import ModernBertConfig as LibraryConfig
from transformers.models.modernbert.modeling_modernbert import ModernBertForMaskedLM

from archbench.api import BuiltWith, ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import ATTENTION

INIT_CUTOFF = 2.0
"""Where the normal distribution of initial matrices is cut off, in standard deviations."""


class RotaryAngles(nn.Module):
    """The library's cosines and sines, of frequencies that no cast of the model rounds.

    The library keeps its frequencies in a buffer: in bf16 they would be off by 1 in 256, at position 256 by a radian.
    """

    def __init__(self, head_width: int, bases: Mapping[str, float]) -> None:
        super().__init__()
        self.head_width = head_width
        self.bases = bases

    def forward(self, hidden: Tensor, positions: Tensor, layer_type: str) -> tuple[Tensor, Tensor]:
        """Cosines and sines [rows, seq_len, head_width] of `positions` [rows, seq_len], in the type of `hidden`."""
        pairs = torch.arange(0, self.head_width, 2, dtype=torch.float32, device=hidden.device)
        frequencies = 1.0 / self.bases[layer_type] ** (pairs / self.head_width)
        angles = (positions[..., None].float() * frequencies).repeat(1, 1, 2)
        return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)


class ModernBert(LanguageModel):
    """ModernBERT of transformers.

    `layer_types` says which layers see the whole context, and `rope_bases` which base the rotary positions of a type
    have, both by the library's names.
    """

    def __init__(
        self,
        dims: ModelDims,
        built: BuiltWith,
        *,
        dropout: float,
        local_attention: int,
        layer_types: list[str],
        rope_bases: Mapping[str, float],
    ) -> None:
        super().__init__()
        # The library draws again where a number was cut off; tensors without data, on which FLOPs are counted, cannot
        # say where.
        with no_init_weights():
            self.model = ModernBertForMaskedLM(
                LibraryConfig(
                    vocab_size=dims.vocab_size,
                    max_position_embeddings=dims.seq_len,
                    hidden_size=dims.d_model,
                    num_hidden_layers=dims.n_layers,
                    num_attention_heads=dims.n_heads,
                    intermediate_size=dims.d_ff,
                    local_attention=local_attention,
                    layer_types=layer_types,
                    embedding_dropout=dropout,
                    attention_dropout=dropout,
                    mlp_dropout=dropout,
                    tie_word_embeddings=built.tie_output,
                    decoder_bias=built.output_bias,
                    # No id of the tokenizer means anything special to the model.
                    pad_token_id=None,
                    bos_token_id=None,
                    eos_token_id=None,
                    cls_token_id=None,
                    sep_token_id=None,
                    attn_implementation=ATTENTION,
                )
            )
        self.model.tie_weights()
        self.model.model.rotary_emb = RotaryAngles(dims.d_model // dims.n_heads, rope_bases)
        self._initialise(built.initial_std, dims.n_layers)

    def _initialise(self, initial_std: float, n_layers: int) -> None:
        """Truncated normal matrices; those into the residual stream, and the head's, smaller by 1/sqrt(2·n_layers)."""
        limit = math.erf(INIT_CUTOFF / math.sqrt(2.0))
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
                continue
            smaller = name.endswith(("Wo.weight", "head.dense.weight"))
            std = initial_std / math.sqrt(2.0 * n_layers) if smaller else initial_std
            # By the inverse of the distribution function.
            with torch.no_grad():
                parameter.uniform_(-limit, limit).erfinv_().mul_(std * math.sqrt(2.0))

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        hidden: Tensor = self.model.model(tokens).last_hidden_state
        return Encoded(hidden, None)

    def before_output(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.before_output`: the prediction head."""
        transformed: Tensor = self.model.head(hidden)
        return transformed

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return Projection(self.model.decoder.weight, self.model.decoder.bias)
