"""Llama as an archbench language model. Imports torch and transformers."""

from typing import cast

import torch
from torch import Tensor, nn
from transformers.models.llama.configuration_llama import LlamaConfig as LibraryConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from archbench.api import BuiltWith, ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import ATTENTION


class Llama(LanguageModel):
    """Llama of transformers."""

    def __init__(
        self, dims: ModelDims, built: BuiltWith, *, n_kv_heads: int, rope_theta: float, norm_eps: float
    ) -> None:
        super().__init__()
        self.model = LlamaForCausalLM(
            LibraryConfig(
                vocab_size=dims.vocab_size,
                hidden_size=dims.d_model,
                intermediate_size=dims.d_ff,
                num_hidden_layers=dims.n_layers,
                num_attention_heads=dims.n_heads,
                num_key_value_heads=n_kv_heads,
                max_position_embeddings=dims.seq_len,
                rms_norm_eps=norm_eps,
                rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
                # No id of the tokenizer means anything special to the model.
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
                tie_word_embeddings=built.tie_output,
                initializer_range=built.initial_std,
                attn_implementation=ATTENTION,
            )
        )
        self.output_bias = nn.Parameter(torch.zeros(dims.vocab_size)) if built.output_bias else None

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        trunk = self.model.model
        hidden = trunk.embed_tokens(tokens)
        # The library's own loop, without the mask that it would first look for padding and packing in.
        positions = trunk.rotary_emb(hidden, torch.arange(tokens.shape[1], device=tokens.device)[None])
        for layer in trunk.layers:
            hidden = layer(hidden, attention_mask=None, position_embeddings=positions)
        return Encoded(cast(Tensor, trunk.norm(hidden)), None)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return Projection(self.model.lm_head.weight, self.output_bias)
