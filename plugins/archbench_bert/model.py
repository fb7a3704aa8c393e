"""BERT as an archbench language model. Imports torch and transformers."""

from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig as LibraryConfig
from transformers.models.bert.modeling_bert import BertForMaskedLM, BertLMHeadModel

from archbench.api import Attention, ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.nn.transformers_models import ATTENTION
from archbench_bert.config import NUM_TOKEN_TYPES


class Bert(LanguageModel):
    """BERT of transformers without its pooler; its two classes differ in the attention mask only."""

    def __init__(self, dims: ModelDims, attention: Attention, *, dropout: float) -> None:
        super().__init__()
        causal = attention is Attention.CAUSAL
        model_class = BertLMHeadModel if causal else BertForMaskedLM
        self.model = model_class(
            LibraryConfig(
                vocab_size=dims.vocab_size,
                max_position_embeddings=dims.seq_len,
                hidden_size=dims.d_model,
                num_hidden_layers=dims.n_layers,
                num_attention_heads=dims.n_heads,
                intermediate_size=dims.d_ff,
                type_vocab_size=NUM_TOKEN_TYPES,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                is_decoder=causal,
                # The library's padding token 0 would be a letter here, and would never be learnt.
                pad_token_id=None,
                use_cache=False,
                attn_implementation=ATTENTION,
            )
        )

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; without token types all tokens belong to the first; no state is carried."""
        hidden: Tensor = self.model.bert(tokens, token_type_ids=token_types).last_hidden_state
        return Encoded(hidden, None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`: the prediction transform, then the output matrix and its bias."""
        logits: Tensor = self.model.cls(hidden)
        return logits
