"""ALBERT as an archbench language model. Imports torch and transformers."""

from torch import Tensor
from transformers.models.albert.configuration_albert import AlbertConfig as LibraryConfig
from transformers.models.albert.modeling_albert import AlbertForMaskedLM, AlbertLayer

from archbench.api import BuiltWith, ModelDims
from archbench.nn.gelu import GeluTanh
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.transformers_models import encoder_settings, settle_output_bias


class Albert(LanguageModel):
    """ALBERT of transformers without its pooler."""

    def __init__(
        self, dims: ModelDims, built: BuiltWith, *, embedding_size: int, dropout: float, num_token_types: int
    ) -> None:
        super().__init__()
        self.model = AlbertForMaskedLM(
            LibraryConfig(
                **encoder_settings(dims, built, dropout=dropout, num_token_types=num_token_types),
                embedding_size=embedding_size,
                # The tanh approximation in one kernel; the library's default composes it of eight passes over memory.
                hidden_act="gelu_pytorch_tanh",
            )
        )
        self.model.predictions.activation = GeluTanh()
        settle_output_bias(self.model.predictions, built)
        for module in self.model.modules():
            if isinstance(module, AlbertLayer):
                module.activation = GeluTanh()

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; without token types all tokens belong to the first; no state is carried."""
        hidden: Tensor = self.model.albert(tokens, token_type_ids=token_types).last_hidden_state
        return Encoded(hidden, None)

    def before_output(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.before_output`: down to the width of the embeddings, [..., embedding_size]."""
        head = self.model.predictions
        transformed: Tensor = head.LayerNorm(head.activation(head.dense(hidden)))
        return transformed

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        decoder = self.model.predictions.decoder
        return Projection(decoder.weight, decoder.bias)
