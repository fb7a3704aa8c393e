"""RoBERTa as an archbench language model. Imports torch and transformers."""

import torch
from torch import Tensor
from transformers.models.roberta.configuration_roberta import RobertaConfig as LibraryConfig
from transformers.models.roberta.modeling_roberta import RobertaForCausalLM, RobertaForMaskedLM

from archbench.api import Attention, ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.nn.transformers_models import ATTENTION
from archbench_roberta.config import NUM_TOKEN_TYPES


class Roberta(LanguageModel):
    """RoBERTa of transformers; its two classes differ in the attention mask only."""

    def __init__(self, dims: ModelDims, attention: Attention, *, dropout: float) -> None:
        super().__init__()
        causal = attention is Attention.CAUSAL
        model_class = RobertaForCausalLM if causal else RobertaForMaskedLM
        self.model = model_class(
            LibraryConfig(
                vocab_size=dims.vocab_size,
                max_position_embeddings=dims.seq_len,
                hidden_size=dims.d_model,
                num_hidden_layers=dims.n_layers,
                num_attention_heads=dims.n_heads,
                intermediate_size=dims.d_ff,
                type_vocab_size=NUM_TOKEN_TYPES,
                layer_norm_eps=1e-5,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                is_decoder=causal,
                # The library's padding token 1 would be a letter here: never learnt, and skipped in counting positions.
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
                attn_implementation=ATTENTION,
            )
        )

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        # The library would count positions from the padding token on, of which there is none.
        positions = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
        hidden: Tensor = self.model.roberta(tokens, position_ids=positions).last_hidden_state
        return Encoded(hidden, None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`: the prediction transform, then the output matrix and its bias."""
        logits: Tensor = self.model.lm_head(hidden)
        return logits
