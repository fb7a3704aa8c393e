"""RoBERTa as an archbench language model. Imports torch and transformers."""

import torch
from torch import Tensor
from torch.nn.functional import gelu
from transformers.models.roberta.configuration_roberta import RobertaConfig as LibraryConfig
from transformers.models.roberta.modeling_roberta import RobertaForCausalLM, RobertaForMaskedLM

from archbench.api import Attention, BuiltWith, ModelDims
from archbench.nn.attention import prefix_mask
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import encoder_settings, settle_output_bias


class Roberta(LanguageModel):
    """RoBERTa of transformers; its two classes differ in the attention mask only."""

    def __init__(
        self, dims: ModelDims, attention: Attention, built: BuiltWith, *, dropout: float, num_token_types: int
    ) -> None:
        super().__init__()
        # With a prefix or without: the mask of the prefix takes the place of the causal one.
        causal = attention is not Attention.BIDIRECTIONAL
        model_class = RobertaForCausalLM if causal else RobertaForMaskedLM
        self.model = model_class(
            LibraryConfig(
                **encoder_settings(dims, built, dropout=dropout, num_token_types=num_token_types),
                layer_norm_eps=1e-5,
                is_decoder=causal,
                use_cache=False,
            )
        )
        settle_output_bias(self.model.lm_head, built)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        return self._encode(tokens, None)

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        """See `LanguageModel.encode_prefixed`; token types are ignored."""
        return self._encode(tokens, prefix_mask(prefix_len, tokens.shape[1]))

    def _encode(self, tokens: Tensor, mask: Tensor | None) -> Encoded:
        # The library would count positions from the padding token on, of which there is none.
        positions = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
        hidden: Tensor = self.model.roberta(tokens, position_ids=positions, attention_mask=mask).last_hidden_state
        return Encoded(hidden, None)

    def before_output(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.before_output`: the prediction transform."""
        head = self.model.lm_head
        transformed: Tensor = head.layer_norm(gelu(head.dense(hidden)))
        return transformed

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        decoder = self.model.lm_head.decoder
        return Projection(decoder.weight, decoder.bias)
