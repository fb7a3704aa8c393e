"""The conformance suite catches what it is there to catch: each broken architecture fails the test meant for it."""

import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from archbench.api import ArchitectureConfig, Attention, ForwardFlops, ModelDims, ParamCount
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.testing.architecture import ArchitectureConformance
from archbench_bert.config import BertConfig
from archbench_gpt2.config import Gpt2Config


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Altered(LanguageModel):
    """A model with something done to it."""

    def __init__(
        self,
        inner: LanguageModel,
        change_hidden: Callable[[Tensor], Tensor] = lambda hidden: hidden,
        change_tokens: Callable[[Tensor], Tensor] = lambda tokens: tokens,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.change_hidden = change_hidden
        self.change_tokens = change_tokens

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        hidden = self.inner.encode(self.change_tokens(tokens), token_types=token_types).hidden
        return Encoded(self.change_hidden(hidden), None)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.inner.logits(hidden)


def wrapped(**changes: Any) -> Callable[[Any, ModelDims, Attention], LanguageModel]:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        return Altered(Gpt2Config().build(dims, attention), **changes)

    return build


def mutant(base: type[ArchitectureConfig] = Gpt2Config, **members: Any) -> ArchitectureConformance:
    """The suite on an architecture that differs from `base` in `members`."""
    config = type("Mutant", (base,), {"__module__": __name__, **members})

    class Suite(ArchitectureConformance):
        pass

    Suite.config = config()
    return Suite()


def test_a_look_at_the_next_token_is_caught() -> None:
    suite = mutant(build=wrapped(change_hidden=lambda hidden: hidden + 1e-3 * hidden.roll(-1, dims=1)))
    with pytest.raises(AssertionError, match="depend on later tokens"):
        suite.test_causality_by_gradient(Attention.CAUSAL)


def test_rows_that_see_each_other_are_caught() -> None:
    suite = mutant(build=wrapped(change_hidden=lambda hidden: hidden - 1e-3 * hidden.mean(0)))
    with pytest.raises(AssertionError, match="depend on row 1"):
        suite.test_causality_by_gradient(Attention.CAUSAL)


def test_a_causal_model_that_claims_to_be_bidirectional_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        return Gpt2Config().build(dims, Attention.CAUSAL)

    with pytest.raises(AssertionError, match="ignores all later tokens"):
        mutant(build=build).test_causality_by_gradient(Attention.BIDIRECTIONAL)


class LeakyPrefix(Altered):
    """Sees one token more than the prefix it is given."""

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        return self.inner.encode_prefixed(tokens, prefix_len + 1)


class ForgottenPrefix(Altered):
    """Is causal inside a prefix too."""

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        return self.inner.encode(tokens)


@pytest.mark.parametrize(
    ("broken", "message"), [(LeakyPrefix, "depend on later tokens"), (ForgottenPrefix, "position 0 ignore positions")]
)
def test_a_prefix_that_is_seen_wrongly_is_caught(broken: type[Altered], message: str) -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        return broken(Gpt2Config().build(dims, attention))

    with pytest.raises(AssertionError, match=message):
        mutant(build=build).test_a_prefix_is_seen_whole_and_what_follows_it_by_nobody_before(Attention.PREFIX)


def test_a_padding_token_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        model = BertConfig().build(dims, attention)
        model.model.bert.embeddings.word_embeddings.padding_idx = 0
        return model

    with pytest.raises(AssertionError, match=r"token ids \[0\] get no gradient"):
        mutant(BertConfig, build=build).test_no_token_id_is_special(Attention.CAUSAL)


@pytest.mark.parametrize(("embedding", "non_embedding"), [(1, -1), (-1, 1), (0, 1)])
def test_a_wrong_parameter_count_is_caught_even_if_the_total_is_right(embedding: int, non_embedding: int) -> None:
    def num_params(self: Gpt2Config, dims: ModelDims) -> ParamCount:
        right = Gpt2Config().num_params(dims)
        return ParamCount(right.embedding + embedding, right.non_embedding + non_embedding)

    with pytest.raises(AssertionError, match="num_params says"):
        mutant(num_params=num_params).test_analytic_parameters_equal_the_built_modules(Attention.CAUSAL)


def test_a_forgotten_component_is_caught() -> None:
    def flops(self: Gpt2Config, dims: ModelDims, attention: Attention) -> ForwardFlops:
        components = dict(Gpt2Config().forward_flops_per_token(dims, attention).components)
        del components["attention_scores"]
        return ForwardFlops(components)

    with pytest.raises(AssertionError, match="forward FLOPs per token"):
        mutant(forward_flops_per_token=flops).test_analytic_flops_equal_the_counted_ones(Attention.CAUSAL)


def test_recomputation_that_does_not_happen_is_caught() -> None:
    def flops(self: Gpt2Config, dims: ModelDims, attention: Attention) -> ForwardFlops:
        components = Gpt2Config().forward_flops_per_token(dims, attention).components
        return ForwardFlops(components, recomputed=frozenset({"feed_forward"}))

    with pytest.raises(AssertionError, match="train FLOPs per token"):
        mutant(forward_flops_per_token=flops).test_analytic_flops_equal_the_counted_ones(Attention.CAUSAL)


def test_a_loud_start_is_caught() -> None:
    suite = mutant(build=wrapped(change_hidden=lambda hidden: 20 * hidden))
    with pytest.raises(AssertionError, match="initial loss"):
        suite.test_untrained_loss_is_near_ln_v(Attention.CAUSAL)


def test_a_model_that_ignores_the_seed_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        torch.manual_seed(11)
        return Gpt2Config().build(dims, attention)

    with pytest.raises(AssertionError, match="ignores torch's global generator"):
        mutant(build=build).test_same_seed_gives_the_same_bits(Attention.CAUSAL)


def test_a_model_with_randomness_of_its_own_is_caught() -> None:
    generator = torch.Generator().manual_seed(0)

    def jitter(hidden: Tensor) -> Tensor:
        return hidden + torch.randn(hidden.shape, generator=generator)

    with pytest.raises(AssertionError, match="logits differ between two forward passes"):
        mutant(build=wrapped(change_hidden=jitter)).test_same_seed_gives_the_same_bits(Attention.CAUSAL)


def test_a_build_that_sets_an_environment_variable_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHBENCH_TEST_TRACE", "before")

    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        os.environ["ARCHBENCH_TEST_TRACE"] = "after"
        return Gpt2Config().build(dims, attention)

    with pytest.raises(AssertionError, match="the environment"):
        mutant(build=build).test_building_leaves_the_process_as_it_was(Attention.CAUSAL)


def test_an_unused_parameter_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        model = Gpt2Config().build(dims, attention)
        model.spare = nn.Parameter(torch.zeros(3))
        return model

    with pytest.raises(AssertionError, match=r"without a gradient: \['spare'\]"):
        mutant(build=build).test_every_parameter_gets_a_finite_gradient(Attention.CAUSAL)


def test_a_model_that_cannot_tell_its_tokens_apart_is_caught_memorising() -> None:
    suite = mutant(build=wrapped(change_tokens=torch.zeros_like))
    with pytest.raises(AssertionError, match="after 200 steps the loss is"):
        suite.test_a_batch_can_be_memorised(Attention.CAUSAL)


def test_a_promise_of_token_types_that_is_not_kept_is_caught() -> None:
    with pytest.raises(AssertionError, match="do not change the logits"):
        mutant(has_token_types=True).test_token_types_matter_exactly_where_promised(Attention.CAUSAL)


def test_a_ladder_with_a_gap_is_caught() -> None:
    def sized_for(self: Any, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        return Gpt2Config().sized_for(
            2.0 ** round(torch.tensor(target_params).log2().item()), vocab_size=264, seq_len=seq_len
        )

    with pytest.raises(AssertionError, match="parameters: vocab_size=264"):
        mutant(sized_for=sized_for).test_ladder_hits_every_size_within_5_percent_and_never_steps_back()


def test_a_config_that_imports_torch_is_caught() -> None:
    class Suite(ArchitectureConformance):
        config = Gpt2Config()
        plugin = "torch"

    with pytest.raises(AssertionError, match="loaded \\['torch'\\]"):
        Suite().test_importing_and_planning_load_no_torch()


class Remembering(Altered):
    """Adds the mean of the last segment to each hidden state."""

    detached: ClassVar[bool] = True

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        hidden = self.inner.encode(tokens).hidden
        memory = hidden.mean(1, keepdim=True)
        if state is not None:
            hidden = hidden + state[0]
        return Encoded(hidden, (memory.detach() if self.detached else memory,))


class RememberingConfig(Gpt2Config):
    kind: Literal["remembering"] = "remembering"  # type: ignore[assignment]
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    carries_state: ClassVar[bool] = True

    def build(self, dims: ModelDims, attention: Attention) -> LanguageModel:  # type: ignore[override]
        return Remembering(super().build(dims, attention))


class TestRemembering(ArchitectureConformance):
    """An architecture with memory passes the suite."""

    config = RememberingConfig()

    @pytest.mark.skip(reason="its config lives in a test file that imports torch")
    def test_importing_and_planning_load_no_torch(self) -> None: ...


def test_memory_with_gradients_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Remembering, "detached", False)
    with pytest.raises(AssertionError, match="not detached"):
        TestRemembering().test_memory_is_carried_exactly_where_promised(Attention.CAUSAL)


def test_memory_that_was_not_announced_is_caught() -> None:
    suite = mutant(RememberingConfig, carries_state=False)
    with pytest.raises(AssertionError, match="carries_state is False"):
        suite.test_memory_is_carried_exactly_where_promised(Attention.CAUSAL)


def test_memory_that_changes_nothing_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        model = RememberingConfig().build(dims, attention)
        encode = model.encode
        model.encode = lambda tokens, *, token_types=None, state=None: encode(tokens)  # type: ignore[method-assign]
        return model

    with pytest.raises(AssertionError, match="changes nothing in the second"):
        mutant(RememberingConfig, build=build).test_memory_is_carried_exactly_where_promised(Attention.CAUSAL)


def test_memory_of_another_row_is_caught() -> None:
    def build(self: Any, dims: ModelDims, attention: Attention) -> LanguageModel:
        model = RememberingConfig().build(dims, attention)
        encode = model.encode

        def first_rows_memory(tokens: Tensor, *, token_types: Any = None, state: State | None = None) -> Encoded:
            return encode(tokens, state=state and (state[0][:1].expand_as(state[0]),))

        model.encode = first_rows_memory  # type: ignore[method-assign]
        return model

    with pytest.raises(AssertionError, match="not close"):
        mutant(RememberingConfig, build=build).test_memory_belongs_to_its_row(Attention.CAUSAL)
