"""A plug-in whose runs do next to nothing: what a run costs beside its training shows."""

from typing import ClassVar, Literal

from archbench.api import Attention, ForwardFlops, LadderConfig, ModelDims, ParamCount, Source, hookimpl


class NoOp(LadderConfig):
    """Architecture `no_op`."""

    kind: Literal["no_op"] = "no_op"
    variant: int = 0
    """Tells one contender from another, which does the same."""
    summary: ClassVar[str] = "embeddings and a matrix a layer: nothing to speak of"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    source: ClassVar[Source] = Source(paper="none", implementation="this file", faithful="all", differs="nothing")

    def build(self, dims: ModelDims, attention: Attention):
        """A stack of matrices without activations."""
        from torch import nn

        from archbench.nn.language_model import Encoded, LanguageModel, Projection

        class Network(LanguageModel):
            def __init__(self) -> None:
                super().__init__()
                self.tokens = nn.Embedding(dims.vocab_size, dims.d_model)
                nn.init.normal_(self.tokens.weight, std=0.02)
                self.layers = nn.Sequential(
                    *(nn.Linear(dims.d_model, dims.d_model, bias=False) for _ in range(dims.n_layers))
                )

            def encode(self, tokens, *, token_types=None, state=None):
                return Encoded(self.layers(self.tokens(tokens)), None)

            def output_weights(self):
                return Projection(self.tokens.weight, None)

        return Network()

    def num_params(self, dims: ModelDims) -> ParamCount:
        """Of the embeddings, and of the matrices."""
        return ParamCount(embedding=dims.vocab_size * dims.d_model, non_embedding=dims.n_layers * dims.d_model**2)

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """Two a parameter."""
        return ForwardFlops(
            {"layers": 2.0 * dims.n_layers * dims.d_model**2, "logits": 2.0 * dims.d_model * dims.vocab_size}
        )


@hookimpl
def register_architectures() -> list[type[LadderConfig]]:
    """The one architecture."""
    return [NoOp]
