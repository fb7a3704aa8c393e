"""GPT-2 as an archbench language model. Imports torch and transformers."""

import torch
from torch import Tensor, nn
from transformers.models.gpt2.configuration_gpt2 import GPT2Config as LibraryConfig
from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

from archbench.api import Attention, BuiltWith, ModelDims
from archbench.nn.attention import prefix_mask
from archbench.nn.gelu import GeluTanh
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import ATTENTION


class Gpt2(LanguageModel):
    """GPT-2 of transformers; attention is causal, but for a prefix where the objective has one."""

    def __init__(self, dims: ModelDims, attention: Attention, built: BuiltWith, *, dropout: float) -> None:
        super().__init__()
        self.model = GPT2LMHeadModel(
            LibraryConfig(
                vocab_size=dims.vocab_size,
                n_positions=dims.seq_len,
                n_embd=dims.d_model,
                n_layer=dims.n_layers,
                n_head=dims.n_heads,
                n_inner=dims.d_ff,
                # The tanh approximation in one kernel; the library's default composes it of eight passes over memory.
                activation_function="gelu_pytorch_tanh",
                resid_pdrop=dropout,
                embd_pdrop=dropout,
                attn_pdrop=dropout,
                # No id of the tokenizer means anything special to the model.
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
                tie_word_embeddings=built.tie_output,
                initializer_range=built.initial_std,
                attn_implementation=ATTENTION,
            )
        )
        for block in self.model.transformer.h:
            block.mlp.act = GeluTanh()
        self.output_bias = nn.Parameter(torch.zeros(dims.vocab_size)) if built.output_bias else None

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        hidden: Tensor = self.model.transformer(tokens).last_hidden_state
        return Encoded(hidden, None)

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        """See `LanguageModel.encode_prefixed`; token types are ignored."""
        mask = prefix_mask(prefix_len, tokens.shape[1])
        hidden: Tensor = self.model.transformer(tokens, attention_mask=mask).last_hidden_state
        return Encoded(hidden, None)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return Projection(self.model.lm_head.weight, self.output_bias)
