"""BERT as an archbench language model. Imports torch and transformers."""

from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig as LibraryConfig
from transformers.models.bert.modeling_bert import BertForMaskedLM, BertLMHeadModel

from archbench.api import Attention, BuiltWith, ModelDims
from archbench.nn.attention import prefix_mask
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import encoder_settings, settle_output_bias


class Bert(LanguageModel):
    """BERT of transformers without its pooler; its two classes differ in the attention mask only."""

    def __init__(
        self, dims: ModelDims, attention: Attention, built: BuiltWith, *, dropout: float, num_token_types: int
    ) -> None:
        super().__init__()
        # With a prefix or without: the mask of the prefix takes the place of the causal one.
        causal = attention is not Attention.BIDIRECTIONAL
        model_class = BertLMHeadModel if causal else BertForMaskedLM
        self.model = model_class(
            LibraryConfig(
                **encoder_settings(dims, built, dropout=dropout, num_token_types=num_token_types),
                is_decoder=causal,
                use_cache=False,
            )
        )
        settle_output_bias(self.model.cls.predictions, built)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; without token types all tokens belong to the first; no state is carried."""
        hidden: Tensor = self.model.bert(tokens, token_type_ids=token_types).last_hidden_state
        return Encoded(hidden, None)

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        """See `LanguageModel.encode_prefixed`."""
        mask = prefix_mask(prefix_len, tokens.shape[1])
        hidden: Tensor = self.model.bert(tokens, token_type_ids=token_types, attention_mask=mask).last_hidden_state
        return Encoded(hidden, None)

    def before_output(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.before_output`: the prediction transform."""
        transformed: Tensor = self.model.cls.predictions.transform(hidden)
        return transformed

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        decoder = self.model.cls.predictions.decoder
        return Projection(decoder.weight, decoder.bias)
