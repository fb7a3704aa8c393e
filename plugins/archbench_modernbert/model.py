"""ModernBERT as an archbench language model. Imports torch and transformers."""

import torch
from torch import Tensor, nn
from transformers.models.modernbert.configuration_modernbert import ModernBertConfig as LibraryConfig
from transformers.models.modernbert.modeling_modernbert import ModernBertForMaskedLM

from archbench.api import ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.nn.transformers_models import ATTENTION
from archbench_modernbert.config import GLOBAL_ROPE_BASE, LOCAL_ROPE_BASE


class RotaryAngles(nn.Module):
    """The library's cosines and sines, of frequencies that no cast of the model rounds.

    The library keeps its frequencies in a buffer: in bf16 they would be off by 1 in 256, at position 256 by a radian.
    """

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.bases = {"full_attention": GLOBAL_ROPE_BASE, "sliding_attention": LOCAL_ROPE_BASE}

    def forward(self, hidden: Tensor, positions: Tensor, layer_type: str) -> tuple[Tensor, Tensor]:
        """Cosines and sines [rows, seq_len, head_width] of `positions` [rows, seq_len], in the type of `hidden`."""
        pairs = torch.arange(0, self.head_width, 2, dtype=torch.float32, device=hidden.device)
        frequencies = 1.0 / self.bases[layer_type] ** (pairs / self.head_width)
        angles = (positions[..., None].float() * frequencies).repeat(1, 1, 2)
        return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)


class ModernBert(LanguageModel):
    """ModernBERT of transformers; `layer_types` says which layers see the whole context."""

    def __init__(self, dims: ModelDims, *, dropout: float, local_attention: int, layer_types: list[str]) -> None:
        super().__init__()
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
                # No id of the tokenizer means anything special to the model.
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
                cls_token_id=None,
                sep_token_id=None,
                attn_implementation=ATTENTION,
            )
        )
        self.model.model.rotary_emb = RotaryAngles(dims.d_model // dims.n_heads)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        hidden: Tensor = self.model.model(tokens).last_hidden_state
        return Encoded(hidden, None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`: the prediction head, then the output matrix and its bias."""
        logits: Tensor = self.model.decoder(self.model.head(hidden))
        return logits
