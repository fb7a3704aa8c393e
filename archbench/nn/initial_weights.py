"""Initial weights that Transformers of the field share."""

from torch import nn

from archbench.nn.output import Output
from archbench.nn.relative_attention import RelativeAttention


def draw_normal(model: nn.Module, std: float) -> None:
    """Draws every matrix, embedding and learned u and v from a normal distribution; biases become 0, norms stay."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Output):
            module.initialise(std)
        if isinstance(module, RelativeAttention):
            nn.init.normal_(module.content_bias, std=std)
            nn.init.normal_(module.position_bias, std=std)
