"""What a model does with a prefix that is seen whole: the part of the architecture suite about `Attention.PREFIX`."""

from typing import ClassVar

import pytest
import torch

from archbench.api import ArchitectureConfig, Attention, ModelDims
from archbench.testing.probes import input_gradients, random_tokens, seeded_model


class PrefixConformance:
    """Tests of `encode_prefixed`, which run where the architecture offers `Attention.PREFIX`.

    `ArchitectureConformance` has them; nobody needs to subclass this.
    """

    config: ClassVar[ArchitectureConfig]
    """The architecture under test, with its hyperparameters."""

    def shape(self) -> ModelDims:
        """The shape of the model under test."""
        raise NotImplementedError

    def test_a_prefix_is_seen_whole_and_what_follows_it_by_nobody_before(self, attention: Attention) -> None:
        """Positions in the prefix see the whole prefix and no more, those behind it the past; each row has its own."""
        if attention is not Attention.PREFIX:
            pytest.skip("the mode has no prefix")
        dims = self.shape()
        tokens, length = random_tokens(2, dims), dims.seq_len // 2
        prefix_len = torch.tensor([length, length // 2])
        for position in (0, length - 1, length, dims.seq_len - 2):
            model = seeded_model(self.config, dims, attention)
            gradients = input_gradients(model, tokens, position, prefix_len=prefix_len)
            assert gradients is not None, "no nn.Embedding is called on the tokens; the suite cannot follow gradients"
            seen = max(length, position + 1)
            ignored = (gradients[0, :seen] == 0.0).nonzero().flatten().tolist()
            assert ignored == [], f"prefix of {length}: logits of position {position} ignore positions {ignored}"
            later, other_row = gradients[0, seen:].max().item(), gradients[1].max().item()
            assert later == 0.0, f"prefix of {length}: logits of position {position} depend on later tokens ({later})"
            assert other_row == 0.0, f"logits of row 0 depend on row 1 (gradient {other_row})"

    def test_no_prefix_is_causal_attention(self, attention: Attention) -> None:
        """A prefix of no positions, or of one, gives the hidden states of a model that is given none."""
        if attention is not Attention.PREFIX:
            pytest.skip("the mode has no prefix")
        dims = self.shape()
        tokens, model = random_tokens(2, dims), seeded_model(self.config, dims, attention)
        expected = model.encode(tokens).hidden
        got = model.encode_prefixed(tokens, torch.tensor([0, 1])).hidden
        # Other kernels sum in another order: rounding of fp32.
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
