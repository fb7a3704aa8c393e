"""The conformance suite that every architecture passes, archbench's own and strangers' alike."""

import math
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from archbench.api import Attention, CommonSettings, ModelDims
from archbench.contracts.common import PUBLISHED_STD, PUBLISHED_WIDTH
from archbench.flops.counter import measured_flops
from archbench.testing.component import OnOneThread
from archbench.testing.prefixes import PrefixConformance
from archbench.testing.probes import (
    changed_process_state,
    cross_entropy_nats,
    embedding_parameters,
    input_gradients,
    random_like,
    random_tokens,
    seeded_model,
    steady_state,
    steps_to_memorise,
    watch_token_embedding,
)
from archbench.testing.torch_free import torch_libraries_loaded_by

COMMON_SETTINGS = (
    CommonSettings(tie_output=True),
    CommonSettings(tie_output=False),
    CommonSettings(output_bias=True),
    CommonSettings(output_bias=False),
    CommonSettings(initialisation="by_width"),
)
"""Each common setting by itself."""

_MORE_IDS = 8

_PLANNING = """
dims = config.sized_for(1e5, vocab_size=264, seq_len=256)
config.problems(dims), config.num_params(dims)
for attention in filter(lambda mode: config.unsupported(mode) is None, config.attention_modes):
    config.forward_flops_per_token(dims, attention)
"""


class ArchitectureConformance(PrefixConformance, OnOneThread):
    """What archbench relies on in an architecture. Subclass it with a `config`, and pytest runs the whole suite.

    ```python
    from archbench.testing.architecture import ArchitectureConformance
    from my_package.config import MyConfig

    class TestMyArchitecture(ArchitectureConformance):
        config = MyConfig(window=16)
        plugin = "my_package.plugin"
    ```

    Tests that depend on the attention run once per mode of `config.attention_modes` that its settings support. All of
    them use a model of a few thousand parameters on the CPU and take seconds. `ArchitectureOnCuda` has the tests that
    need an accelerator.
    """

    plugin: ClassVar[str | None] = None
    """Import name of the module with the hook, if its import is to be checked too."""

    dims: ClassVar[ModelDims | None] = None
    """Shape of the model under test; by default the rung nearest to 20 thousand parameters, V 48, T 32."""

    flops_tolerance: ClassVar[float] = 0.01
    """Largest relative difference between analytic and counted FLOPs. Exact counts are possible for dense layers; 1 %
    leaves room for products of the order of d_model per token, not for a forgotten component."""

    initial_loss_tolerance_nats: ClassVar[float] = 0.1
    """Largest distance of the untrained loss from ln V. Logits of standard deviation s raise it by s²/2, so 0.1 allows
    s = 0.45; initialisations of the field stay below 0.3 at this size. Weights that start by width may be further off,
    by what that spread of logits is at any width."""

    memorise_steps: ClassVar[int] = 200
    """Steps within which 64 random targets must be learnt to a tenth of the initial loss."""

    ladder_vocab_sizes: ClassVar[tuple[int, ...]] = (264, 8192)
    ladder_seq_len: ClassVar[int] = 256
    ladder_targets: ClassVar[tuple[float, ...]] = tuple(10_000 * 35_000 ** (step / 80) for step in range(81))
    """Parameters asked for; fewer of them serve an architecture whose costs are counted, as each is built."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs tests with an argument `attention` once per mode that the architecture offers."""
        if "attention" in metafunc.fixturenames:
            modes = [mode for mode in sorted(self.config.attention_modes) if self.config.unsupported(mode) is None]
            metafunc.parametrize("attention", modes, ids=[mode.value for mode in modes])

    def shape(self) -> ModelDims:
        """The shape of the model under test."""
        return self.dims or self.config.sized_for(2e4, vocab_size=48, seq_len=32)

    # The config

    def test_config_survives_a_round_trip(self) -> None:
        """Specs, run ids and workers pass configs around as plain data."""
        kind = type(self.config)
        assert kind.model_validate(self.config.model_dump()) == self.config, "model_dump loses something"
        assert kind.model_validate_json(self.config.model_dump_json()) == self.config, "model_dump_json loses something"
        assert self.config.model_dump()["kind"] == kind.kind_name(), "`kind` must be the registered name"

    def test_config_is_frozen_and_refuses_unknown_keys(self) -> None:
        """A misspelt hyperparameter must not pass in silence, and a config in use must not change."""
        with pytest.raises(ValidationError):
            type(self.config).model_validate({**self.config.model_dump(), "no_such_hyperparameter": 1})
        with pytest.raises(ValidationError):
            self.config.kind = "another"  # type: ignore[misc]

    def test_source_is_stated(self) -> None:
        """The leaderboard prints where an architecture comes from and how far it is faithful."""
        source = self.config.source
        missing = [name for name in ("paper", "implementation", "faithful", "differs") if not getattr(source, name)]
        assert not missing, f"source lacks {missing}"
        assert self.config.summary, "a line for listings is missing: `summary`"
        assert self.config.attention_modes, "an architecture offers at least one attention mode"

    def test_importing_and_planning_load_no_torch(self) -> None:
        """`archbench plan` answers at once because configs, sizes, parameters and FLOPs are plain arithmetic."""
        loaded = torch_libraries_loaded_by(self.config, _PLANNING, self.plugin)
        kind = type(self.config)
        assert loaded == [], f"importing {kind.__module__} and asking for sizes and costs loaded {loaded}"

    # The ladder

    def test_ladder_hits_every_size_within_5_percent_and_never_steps_back(self) -> None:
        """Sizes from 10 thousand to 350 million can be asked for; analytic, nothing is built."""
        for vocab_size in self.ladder_vocab_sizes:
            rungs = [
                self.config.sized_for(target, vocab_size=vocab_size, seq_len=self.ladder_seq_len)
                for target in self.ladder_targets
            ]
            params = [self.config.num_params(rung).non_embedding for rung in rungs]
            for target, rung, got in zip(self.ladder_targets, rungs, params, strict=True):
                where = f"vocabulary {vocab_size}, {target:,.0f} parameters: {rung}"
                assert abs(got / target - 1) <= 0.05, f"{where} has {got:,}"
                assert (rung.vocab_size, rung.seq_len) == (vocab_size, self.ladder_seq_len), where
                assert rung.n_layers >= 2, where
                assert self.config.problems(rung) == [], f"{where} has problems {self.config.problems(rung)}"
            assert all(a <= b for a, b in pairwise(params)), f"sizes step back: {params}"

    def test_an_impossible_size_is_refused(self) -> None:
        """A size far below the smallest rung raises ValueError, which archbench turns into one line for the user."""
        with pytest.raises(ValueError, match=r"\S"):
            self.config.sized_for(1.0, vocab_size=264, seq_len=self.ladder_seq_len)

    def test_a_shape_that_cannot_be_built_is_named(self) -> None:
        """`problems` finds heads that do not divide the width."""
        shape = self.shape().model_copy(update={"d_model": 10, "n_heads": 3})
        assert self.config.problems(shape), "d_model 10 with n_heads 3 was accepted"

    # Costs

    def test_analytic_parameters_equal_the_built_modules(self, attention: Attention) -> None:
        """Both counts, each for itself; a tied matrix counts once. See `probes.embedding_parameters`."""
        smallest = self.config.sized_for(1e4, vocab_size=56, seq_len=self.shape().seq_len)
        for dims in (self.shape(), smallest):
            embeddings = embedding_parameters(self.config, dims, attention)
            built = {True: 0, False: 0}
            for name, parameter in seeded_model(self.config, dims, attention).named_parameters():
                built[name in embeddings] += parameter.numel()
            analytic = self.config.num_params(dims)
            assert (analytic.embedding, analytic.non_embedding) == (built[True], built[False]), (
                f"{dims}: num_params says (embedding, non-embedding) {analytic.embedding, analytic.non_embedding},"
                f" the module has {built[True], built[False]}, taking as embeddings {sorted(embeddings)}"
            )

    def test_analytic_flops_equal_the_counted_ones(self, attention: Attention) -> None:
        """Forward, and forward with backward; with a full memory where the model carries one."""
        dims, rows = self.shape(), 2
        model, tokens = seeded_model(self.config, dims, attention), random_tokens(rows, dims)
        state = steady_state(model, tokens)
        analytic = self.config.forward_flops_per_token(dims, attention)
        unknown = (analytic.per_prediction | analytic.recomputed | analytic.forward_only) - set(analytic.components)
        assert not unknown, (
            f"per_prediction, recomputed or forward_only name components that do not exist: {sorted(unknown)}"
        )
        assert "logits" in analytic.per_prediction, "the output projection runs only where a token is predicted"
        forward = measured_flops(lambda: model(tokens, state=state)) / tokens.numel()
        train = measured_flops(lambda: model(tokens, state=state).sum().backward()) / tokens.numel()
        for name, said, counted in (("forward", analytic.forward(), forward), ("train", analytic.train(), train)):
            assert said == pytest.approx(counted, rel=self.flops_tolerance), (
                f"{name} FLOPs per token: analytic {said:,.0f}, counted {counted:,.0f}; {dict(analytic.components)}"
            )

    def test_common_settings_are_kept_or_named(self, attention: Attention) -> None:
        """What a protocol asks of all contenders alike: see `ArchitectureConfig.with_common`.

        A setting that is kept shows in the module: in the parameters of an id, and in the spread of its embedding.
        """
        dims = self.shape()
        for common in COMMON_SETTINGS:
            ((name, wanted),) = common.model_dump(exclude_none=True).items()
            config, others = self.config.with_common(common)
            assert set(others) <= {name}, f"asked for {name}, with_common names {others}"
            assert type(config).model_validate(config.model_dump()) == config, f"model_dump loses {name}"
            small, large = (
                seeded_model(config, shape, attention)
                for shape in (dims, dims.model_copy(update={"vocab_size": dims.vocab_size + _MORE_IDS}))
            )
            analytic = config.num_params(dims)
            built = sum(parameter.numel() for parameter in small.parameters())
            assert analytic.total == built, f"{name} {wanted}: num_params says {analytic.total}, the module has {built}"
            if name in others:
                continue
            tokens = random_tokens(1, dims)
            with watch_token_embedding(small, tokens, cut=False) as seen:
                small.encode(tokens)
            (table,) = (module.weight for module in seen.tables)
            if name == "initialisation":
                spread = PUBLISHED_STD * math.sqrt(PUBLISHED_WIDTH / dims.d_model)
                # Of a thousand draws: the standard deviation of their spread is 2.2 %.
                assert table.std().item() == pytest.approx(spread, rel=0.1), f"embeddings do not start {wanted}"
                continue
            # Of one id: a row of each table, and a bias.
            grown = sum(p.numel() for p in large.parameters()) - built
            rows, biases = divmod(grown // _MORE_IDS, table.shape[1])
            got = rows == 1 if name == "tie_output" else biases == 1
            assert got == wanted, f"{name} {wanted}: the module has {rows} rows and {biases} biases for an id"

    # The module

    def test_output_has_the_promised_shape(self, attention: Attention) -> None:
        """Hidden states [rows, seq_len, d_model], logits [rows, seq_len, vocab_size], all finite."""
        dims = self.shape()
        model, tokens = seeded_model(self.config, dims, attention), random_tokens(3, dims)
        hidden = model.encode(tokens).hidden
        logits = model(tokens)
        assert tuple(hidden.shape) == (3, dims.seq_len, dims.d_model)
        assert tuple(logits.shape) == (3, dims.seq_len, dims.vocab_size)
        assert bool(logits.isfinite().all()), "logits of an untrained model are not finite"

    def test_logits_of_some_positions_are_those_of_the_whole(self, attention: Attention) -> None:
        """Objectives project only what they predict: `logits` works position by position."""
        dims = self.shape()
        hidden = seeded_model(self.config, dims, attention).encode(random_tokens(2, dims)).hidden
        model = seeded_model(self.config, dims, attention)
        # Products of other shapes sum in another order: rounding of fp32, far below any real difference.
        torch.testing.assert_close(model.logits(hidden[:, ::3]), model.logits(hidden)[:, ::3], atol=1e-5, rtol=1e-4)

    def test_causality_by_gradient(self, attention: Attention) -> None:
        """d logits[t] / d embedded token[s > t] is exactly zero for causal attention, and is not for bidirectional.

        A model built for prefixes and given none is causal.

        By gradient and not by changing tokens: LSH attention sorts by all tokens, so a later token moves earlier
        logits although no value leaks. Rows of a batch must not see each other in either mode.
        """
        dims = self.shape()
        tokens = random_tokens(2, dims)
        for position in (0, dims.seq_len // 3, dims.seq_len - 2):
            gradients = input_gradients(seeded_model(self.config, dims, attention), tokens, position)
            assert gradients is not None, "no nn.Embedding is called on the tokens; the suite cannot follow gradients"
            later, other_row = gradients[0, position + 1 :].max().item(), gradients[1].max().item()
            assert other_row == 0.0, f"logits of row 0 depend on row 1 (gradient {other_row})"
            assert gradients[0, position] > 0.0, f"logits of position {position} ignore the token there"
            if position:
                assert gradients[0, :position].max() > 0.0, f"logits of position {position} ignore all earlier tokens"
            if attention is Attention.BIDIRECTIONAL:
                assert later > 0.0, f"bidirectional attention, but position {position} ignores all later tokens"
            else:
                assert later == 0.0, f"logits of position {position} depend on later tokens (gradient {later})"

    def test_no_token_id_is_special(self, attention: Attention) -> None:
        """Every id of the vocabulary has an embedding that is learnt: none acts as padding, as library defaults do."""
        dims = self.shape()
        rows = -(-dims.vocab_size // dims.seq_len)
        tokens = (torch.arange(rows * dims.seq_len) % dims.vocab_size).view(rows, dims.seq_len)
        model = seeded_model(self.config, dims, attention)
        with watch_token_embedding(model, tokens, cut=False) as seen:
            hidden = model.encode(tokens).hidden
        torch.autograd.backward((hidden * random_like(hidden)).sum())
        for table in seen.tables:
            assert table.weight.grad is not None
            dead = (table.weight.grad[: dims.vocab_size].abs().sum(-1) == 0).nonzero().flatten().tolist()
            assert dead == [], f"the embeddings of token ids {dead} get no gradient"

    def test_untrained_loss_is_near_ln_v(self, attention: Attention) -> None:
        """An untrained model knows nothing: its loss on random tokens is that of guessing."""
        dims = self.shape()
        with torch.no_grad():
            logits = seeded_model(self.config, dims, attention)(random_tokens(16, dims))
            loss_nats = cross_entropy_nats(logits, random_tokens(16, dims, seed=1)).item()
        expected = math.log(dims.vocab_size)
        tolerance = self.initial_loss_tolerance_nats
        if getattr(self.config, "initialisation", None) == "by_width":
            tolerance += _excess_by_width_nats(dims)
        assert loss_nats == pytest.approx(expected, abs=tolerance), (
            f"initial loss {loss_nats:.3f} nats, ln V = {expected:.3f}"
        )

    def test_same_seed_gives_the_same_bits(self, attention: Attention) -> None:
        """Weights and logits repeat with torch's global generator, and another seed gives other weights."""
        dims = self.shape()
        tokens = random_tokens(2, dims)
        first, second = (seeded_model(self.config, dims, attention) for _ in range(2))
        other = dict(seeded_model(self.config, dims, attention, seed=7).named_parameters())
        differs = False
        for (name, mine), (_, yours) in zip(first.named_parameters(), second.named_parameters(), strict=True):
            assert torch.equal(mine, yours), f"parameter {name} differs between two builds with one seed"
            differs = differs or not torch.equal(mine, other[name])
        assert differs, "another seed gives the same weights: the build ignores torch's global generator"
        outputs = []
        for model in (first, second):
            torch.manual_seed(3)
            outputs.append(model(tokens))
        assert torch.equal(*outputs), "logits differ between two forward passes with one seed"

    def test_building_leaves_the_process_as_it_was(self, attention: Attention) -> None:
        """A worker trains many models one after another; random states, dtype, environment and so on stay."""
        changed = changed_process_state(lambda: self.config.build(self.shape(), attention))
        assert changed == [], f"building changed {changed}"

    def test_every_parameter_gets_a_finite_gradient(self, attention: Attention) -> None:
        """A parameter without a gradient is counted in N but never trained."""
        dims = self.shape()
        model = seeded_model(self.config, dims, attention)
        tokens = random_tokens(2, dims)
        state = steady_state(model, tokens)
        torch.autograd.backward(cross_entropy_nats(model(tokens, state=state), random_tokens(2, dims, seed=1)))
        unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
        assert unused == [], f"parameters without a gradient: {unused}"
        broken = [n for n, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert broken == [], f"parameters with a gradient that is not finite: {broken}"

    def test_a_batch_can_be_memorised(self, attention: Attention) -> None:
        """Gradients lead somewhere: random targets of random tokens are learnt by heart."""
        dims = self.shape()
        rows = max(1, 64 // dims.seq_len)
        model = seeded_model(self.config, dims, attention)
        wanted = 0.1 * math.log(dims.vocab_size)
        steps, loss_nats = steps_to_memorise(
            model,
            random_tokens(rows, dims),
            random_tokens(rows, dims, seed=1),
            below_nats=wanted,
            max_steps=self.memorise_steps,
        )
        assert loss_nats < wanted, f"after {steps} steps the loss is {loss_nats:.3f} nats, not below {wanted:.3f}"

    def test_token_types_matter_exactly_where_promised(self, attention: Attention) -> None:
        """`has_token_types` tells whether the model can tell two sentences apart."""
        dims = self.shape()
        tokens = random_tokens(2, dims)
        outputs = []
        for token_type in (0, 1):
            model = seeded_model(self.config, dims, attention)
            outputs.append(model(tokens, token_types=torch.full_like(tokens, token_type)))
        assert torch.equal(*outputs) != self.config.has_token_types, (
            f"has_token_types is {self.config.has_token_types}, but token types"
            f" {'do not change' if self.config.has_token_types else 'change'} the logits"
        )

    # Memory between segments

    def test_memory_is_carried_exactly_where_promised(self, attention: Attention) -> None:
        """The state is a tuple of detached tensors by row that changes what follows; otherwise it is None."""
        dims = self.shape()
        first, second = random_tokens(2, dims), random_tokens(2, dims, seed=1)
        state = seeded_model(self.config, dims, attention).encode(first).state
        if not self.config.carries_state:
            assert state is None, "carries_state is False, but encode returns a state"
            return
        assert state is not None, "carries_state is True, but encode returns no state"
        for index, part in enumerate(state):
            assert part.shape[0] == 2, f"state[{index}] has shape {tuple(part.shape)}; the first axis must be the row"
            assert not part.requires_grad, f"state[{index}] is not detached: gradients would cross segments"
        fresh = seeded_model(self.config, dims, attention).encode(second).hidden
        continued = seeded_model(self.config, dims, attention).encode(second, state=state).hidden
        assert not torch.allclose(fresh, continued), "the memory of the first segment changes nothing in the second"

    def test_memory_belongs_to_its_row(self, attention: Attention) -> None:
        """Swapping the rows of tokens and state swaps the rows of the output, and nothing else."""
        if not self.config.carries_state:
            pytest.skip("the architecture carries no state")
        dims = self.shape()
        model = seeded_model(self.config, dims, attention)
        state = steady_state(model, random_tokens(2, dims))
        assert state is not None
        tokens = random_tokens(2, dims, seed=1)
        straight = model.encode(tokens, state=state).hidden
        swapped = model.encode(tokens.flip(0), state=tuple(part.flip(0) for part in state)).hidden
        # Rows may be summed in another order: rounding of fp32.
        torch.testing.assert_close(swapped.flip(0), straight, atol=1e-5, rtol=1e-4)


def _excess_by_width_nats(dims: ModelDims) -> float:
    """What weights by width add to the loss of guessing at most, where the last norm has given hidden states unit size.

    An embedding then has the length s = 0.02·sqrt(768) at any width: logits have the standard deviation s, and that of
    the token itself, where the output is tied and the hidden state nothing but its embedding, is s·sqrt(d_model).
    """
    spread = PUBLISHED_STD * math.sqrt(PUBLISHED_WIDTH)
    return spread**2 / 2 + math.log1p(math.exp(spread * math.sqrt(dims.d_model)) / dims.vocab_size)
