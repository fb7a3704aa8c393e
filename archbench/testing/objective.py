"""The conformance suite that every objective passes, archbench's own and strangers' alike."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archbench.api import IGNORE_TARGET, Attention, ExampleContext, LossParts, ModelDims, ObjectiveConfig
from archbench.contracts.objective import model_vocab_size, special_token_ids
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.testing.component import ConfigConformance
from archbench.testing.text import RandomText
from archbench.testing.torch_free import torch_libraries_loaded_by


class TableModel(LanguageModel):
    """A language model without a trunk: what a token and its type say about the token there, and no more."""

    def __init__(self, dims: ModelDims) -> None:
        super().__init__()
        self.tokens = nn.Embedding(dims.vocab_size, dims.d_model)
        self.types = nn.Embedding(2, dims.d_model)
        self.output = nn.Linear(dims.d_model, dims.vocab_size)
        self.projected = 0
        """Positions whose logits were asked for so far."""

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`."""
        hidden: Tensor = self.tokens(tokens)
        return Encoded(hidden if token_types is None else hidden + self.types(token_types), None)

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        """See `LanguageModel.encode_prefixed`; no position sees another one, in a prefix or not."""
        return self.encode(tokens, token_types=token_types)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return Projection(self.output.weight, self.output.bias)

    def before_output(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.before_output`; counts the positions."""
        self.projected += hidden[..., 0].numel()
        return hidden


class ObjectiveConformance(ConfigConformance):
    """What archbench relies on in an objective. Subclass it with a `config`, and pytest runs the whole suite.

    ```python
    class TestMyObjective(ObjectiveConformance):
        config = MyObjectiveConfig(span=3)
    ```
    """

    config: ClassVar[ObjectiveConfig]
    """The objective under test, with its settings."""

    seq_len: ClassVar[int] = 32
    text_vocab_size: ClassVar[int] = 250
    rows: ClassVar[int] = 64

    def context(self) -> ExampleContext:
        """A text of 50 thousand random tokens."""
        return ExampleContext(
            source=RandomText.drawn(50_000, self.text_vocab_size),
            seq_len=self.seq_len,
            vocab_size=model_vocab_size(self.text_vocab_size, self.config),
            text_vocab_size=self.text_vocab_size,
            special_ids=special_token_ids(self.text_vocab_size, self.config),
        )

    def examples(
        self, *, step: int = 0, seed: int = 0, rows: NDArray[np.int64] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """The batch of one step, or some rows of it."""
        context = self.context()
        assert isinstance(context.source, RandomText)
        windows = context.source.windows(
            np.arange(self.rows) if rows is None else rows,
            stride=self.config.stride(self.seq_len),
            lookahead=self.config.lookahead,
            step=step,
            seed=seed,
        )
        return self.config.examples(windows, context)

    def loss(self, rows: NDArray[np.int64] | None = None) -> tuple[LossParts, TableModel, dict[str, Tensor]]:
        """The loss of a small seeded model on a batch, the model, and the batch."""
        torch.manual_seed(0)
        dims = ModelDims(
            vocab_size=self.context().vocab_size, seq_len=self.seq_len, d_model=16, n_layers=2, n_heads=2, d_ff=64
        )
        model, head = TableModel(dims), self.config.build_head(dims)
        batch = {name: torch.from_numpy(array) for name, array in self.examples(rows=rows).items()}
        return self.config.loss(model, head, batch, None), model, batch

    # The config

    def test_meaning_of_the_loss_is_stated(self) -> None:
        """The leaderboard groups losses by track and prints which comparisons they allow."""
        assert self.config.track, "`track` is empty"
        assert self.config.comparisons, "`comparisons` is empty"
        assert self.config.summary, "`summary` is empty"

    def test_importing_and_planning_load_no_torch(self) -> None:
        """Plans and reports know objectives without loading torch."""
        loaded = torch_libraries_loaded_by(self.config, "config.predicted_fraction(128), config.stride(128)")
        assert loaded == [], f"importing {type(self.config).__module__} loaded {loaded}"

    # Examples

    def test_examples_have_the_promised_shapes(self) -> None:
        """`tokens` and `targets` are [rows, seq_len] int64; every other array has the row as first axis."""
        examples = self.examples()
        for name in ("tokens", "targets"):
            assert examples[name].shape == (self.rows, self.seq_len), f"{name} has shape {examples[name].shape}"
        for name, array in examples.items():
            assert array.shape[0] == self.rows, f"{name} has shape {array.shape}; the first axis must be the row"
            assert array.dtype == np.int64, f"{name} is {array.dtype}, not int64"
        if self.config.needs_token_types:
            types = set(np.unique(examples["token_types"]).tolist())
            assert types <= {0, 1}, f"token types are 0 and 1, got {types}"
        if self.config.attention is Attention.PREFIX:
            lengths = examples["prefix_len"]
            assert lengths.shape == (self.rows,), f"prefix_len has shape {lengths.shape}"
            inside = bool((lengths >= 0).all() and (lengths <= self.seq_len).all())
            assert inside, f"a prefix has 0 to {self.seq_len} positions, got {lengths.min()} to {lengths.max()}"

    def test_examples_are_a_function_of_seed_step_and_row(self) -> None:
        """A resumed run, and a run on more devices, see the same batches: no state, no dependence on other rows."""
        whole, again = self.examples(step=3, seed=1), self.examples(step=3, seed=1)
        some_rows = np.array([5, 2, 11])
        part = self.examples(step=3, seed=1, rows=some_rows)
        for name, array in whole.items():
            np.testing.assert_array_equal(again[name], array, err_msg=f"{name} differs between two calls")
            np.testing.assert_array_equal(part[name], array[some_rows], err_msg=f"{name} depends on the other rows")

    def test_tokens_are_text_or_announced_special_tokens(self) -> None:
        """An id beyond the text is one of `special_tokens`; targets are ids too, or IGNORE_TARGET."""
        context, examples = self.context(), self.examples()
        tokens, targets = examples["tokens"], examples["targets"]
        predicted = targets[targets != IGNORE_TARGET]
        specials = set(context.special_ids.values())
        for name, ids in (("tokens", tokens), ("targets", predicted)):
            strange = {int(i) for i in np.unique(ids) if not (0 <= i < self.text_vocab_size or i in specials)}
            assert strange == set(), f"{name} has ids {sorted(strange)}, neither text nor special"

    def test_predicted_fraction_is_the_share_of_positions_with_logits(self) -> None:
        """The cost of the output projection follows from it; what is predicted needs logits."""
        said = self.config.predicted_fraction(self.seq_len)
        targets = self.examples()["targets"]
        got = float((targets != IGNORE_TARGET).mean())
        assert (targets != IGNORE_TARGET).any(), "no token is predicted"
        # Of 2,048 positions; a share of 15 % drawn position by position scatters by 0.008.
        fits = got <= said + 0.03 or not self.config.scores_targets
        assert fits, f"predicted_fraction says {said:.3f}, examples predict {got:.3f}"
        computed = self.loss()[1].projected / (self.rows * self.seq_len)
        assert computed == pytest.approx(said, abs=0.03), (
            f"predicted_fraction says {said:.3f}, the loss computes the logits of {computed:.3f}"
        )

    def test_every_token_is_predicted_once_where_promised(self) -> None:
        """Bits per byte need each token of the text exactly once."""
        if not self.config.predicts_every_token:
            pytest.skip("the objective does not predict every token")
        targets = self.examples()["targets"].ravel()
        text = self.context().source.window(1, len(targets))
        np.testing.assert_array_equal(targets, text, err_msg="targets of successive windows are not the text")

    def test_answers_are_hidden(self) -> None:
        """A causal input does not hold its own target, a bidirectional one mostly not: the loss cannot be copied."""
        if not self.config.scores_targets:
            pytest.skip("the loss asks another question than which token stands there")
        examples = self.examples()
        predicted = examples["targets"] != IGNORE_TARGET
        shown = float((examples["tokens"] == examples["targets"])[predicted].mean())
        # Equal neighbours happen by chance (1 in 250); masked language models keep a tenth of the answers on purpose.
        limit = 0.5 if self.config.attention is Attention.BIDIRECTIONAL else 0.05
        assert shown < limit, f"{shown:.0%} of the predicted positions show their target as input"

    def test_a_prefix_shows_no_next_token_that_is_predicted(self) -> None:
        """Positions in a prefix see all of it, so none of them may predict the token behind it there."""
        if self.config.attention is not Attention.PREFIX:
            pytest.skip("the objective has no prefix")
        examples = self.examples()
        following = np.roll(examples["tokens"], -1, axis=1)
        seen = np.arange(self.seq_len) + 1 < examples["prefix_len"][:, None]
        predicted = seen & (examples["targets"] != IGNORE_TARGET)
        copied = int((predicted & (following == examples["targets"])).sum())
        # Equal tokens happen by chance (1 in 250) where a prefix hides what it predicts.
        assert copied <= 0.05 * predicted.sum(), f"{copied} positions predict the next token, which their prefix shows"

    # The loss

    def test_loss_is_the_cross_entropy_of_the_targets_in_nats(self) -> None:
        """Summed over the predicted tokens, whatever way the objective takes to project only those."""
        if not self.config.scores_targets:
            pytest.skip("the loss asks another question than which token stands there")
        parts, model, batch = self.loss()
        logits = model(batch["tokens"], token_types=batch.get("token_types"))
        targets = batch["targets"].flatten()
        expected = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets, ignore_index=IGNORE_TARGET, reduction="sum"
        )
        assert int(parts.predictions) == int((targets != IGNORE_TARGET).sum())
        # Sums of up to 2,048 terms in another order: rounding of fp32.
        torch.testing.assert_close(parts.nats, expected, rtol=1e-4, atol=1e-3)

    def test_probabilities_of_all_tokens_sum_to_one(self) -> None:
        """exp(-loss) is a probability: over everything that a target may be it sums to 1."""
        if not self.config.scores_targets:
            pytest.skip("the loss asks another question than which token stands there")
        torch.manual_seed(0)
        vocab_size = self.context().vocab_size
        dims = ModelDims(vocab_size=vocab_size, seq_len=self.seq_len, d_model=16, n_layers=2, n_heads=2, d_ff=64)
        model, head = TableModel(dims), self.config.build_head(dims)
        batch = {name: torch.from_numpy(array) for name, array in self.examples().items()}
        row, position = (batch["targets"] != IGNORE_TARGET).nonzero()[0].tolist()
        one = {name: tensor[row : row + 1].clone() for name, tensor in batch.items()}
        probability = 0.0
        with torch.no_grad():
            for token in range(vocab_size):
                one["targets"] = torch.full((1, self.seq_len), IGNORE_TARGET)
                one["targets"][0, position] = token
                probability += math.exp(-float(self.config.loss(model, head, one, None).nats))
        # Some hundred terms of fp32.
        assert probability == pytest.approx(1.0, abs=1e-4), f"probabilities of all targets sum to {probability:.4f}"

    def test_losses_of_parts_of_a_batch_add_up(self) -> None:
        """Gradient accumulation and several devices give the loss of the whole batch."""
        whole, _, batch = self.loss()
        assert int(whole.predictions) == int((batch["targets"] != IGNORE_TARGET).sum()), (
            "`predictions` is not the number of targets, by which the gradient of a step is divided"
        )
        halves = [self.loss(rows)[0] for rows in np.split(np.arange(self.rows), 2)]
        torch.testing.assert_close(halves[0].nats + halves[1].nats, whole.nats, rtol=1e-4, atol=1e-3)
        assert int(halves[0].predictions + halves[1].predictions) == int(whole.predictions)

    def test_loss_has_a_gradient(self) -> None:
        """On the model, and on the head through the auxiliary loss where there is one."""
        parts, model, _ = self.loss()
        torch.autograd.backward(parts.nats if parts.auxiliary is None else parts.nats + parts.auxiliary)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients, "the loss has no gradient on the model"
        assert all(bool(gradient.isfinite().all()) for gradient in gradients), "gradients are not finite"

    def test_head_has_the_announced_parameters(self) -> None:
        """`num_head_params` equals what `build_head` makes, and a head goes with an auxiliary loss."""
        dims = ModelDims(vocab_size=264, seq_len=self.seq_len, d_model=24, n_layers=2, n_heads=2, d_ff=96)
        head = self.config.build_head(dims)
        built = 0 if head is None else sum(parameter.numel() for parameter in head.parameters())
        assert self.config.num_head_params(dims) == built, f"num_head_params does not say {built}"
        embedding = self.config.num_head_embedding_params(dims)
        tables = [] if head is None else [module for module in head.modules() if isinstance(module, nn.Embedding)]
        in_tables = sum(module.weight.numel() for module in tables)
        assert embedding == in_tables, f"num_head_embedding_params says {embedding}, the head's tables have {in_tables}"
        auxiliary = self.loss()[0].auxiliary
        assert (auxiliary is not None) == (head is not None), "a head is trained by an auxiliary loss, or there is none"
