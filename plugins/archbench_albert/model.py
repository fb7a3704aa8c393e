"""ALBERT as an archbench language model. Imports torch and transformers."""

from torch import Tensor
from transformers.models.albert.configuration_albert import AlbertConfig as LibraryConfig
from transformers.models.albert.modeling_albert import AlbertForMaskedLM, AlbertLayer

from archbench.api import ModelDims
from archbench.nn.gelu import GeluTanh
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.nn.transformers_models import encoder_settings


class Albert(LanguageModel):
    """ALBERT of transformers without its pooler."""

    def __init__(self, dims: ModelDims, *, embedding_size: int, dropout: float, num_token_types: int) -> None:
        super().__init__()
        self.model = AlbertForMaskedLM(
            LibraryConfig(
                **encoder_settings(dims, dropout=dropout, num_token_types=num_token_types),
                embedding_size=embedding_size,
                # The tanh approximation in one kernel; the library's default composes it of eight passes over memory.
                hidden_act="gelu_pytorch_tanh",
            )
        )
        self.model.predictions.activation = GeluTanh()
        for module in self.model.modules():
            if isinstance(module, AlbertLayer):
                module.activation = GeluTanh()

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; without token types all tokens belong to the first; no state is carried."""
        hidden: Tensor = self.model.albert(tokens, token_type_ids=token_types).last_hidden_state
        return Encoded(hidden, None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`: down to the width of the embeddings, then the output matrix and its bias."""
        logits: Tensor = self.model.predictions(hidden)
        return logits
