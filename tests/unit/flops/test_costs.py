"""Costs that are counted instead of stated: against formulas that the counter does not know of."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from archbench.api import ArchitectureConfig, Attention, LadderConfig, ModelDims, PluginError, Source
from archbench.contracts import counting
from archbench.flops.costs import component_of
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench_gpt2.config import Gpt2Config
from archbench_mamba2.config import Mamba2Config
from archbench_reformer.config import ReformerConfig
from archbench_transformer_xl.config import TransformerXLConfig


class _Counted:
    num_params = ArchitectureConfig.num_params
    forward_flops_per_token = ArchitectureConfig.forward_flops_per_token


class CountedGpt2(_Counted, Gpt2Config):
    pass


class CountedReformer(_Counted, ReformerConfig):
    pass


class CountedTransformerXL(_Counted, TransformerXLConfig):
    pass


class CountedMamba2(_Counted, Mamba2Config):
    pass


class Experts(LadderConfig):
    """Two layers of four experts, of which a token is sent to one, by the values of its features."""

    kind: Literal["experts"] = "experts"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    source: ClassVar[Source] = Source("none", "this file", "all", "nothing")
    refuses: str = ""

    def build(self, dims: ModelDims, attention: Attention) -> LanguageModel:
        if self.refuses == "in words":
            raise ValueError("no such\nshape")
        if self.refuses == "by a defect":
            raise KeyError("hidden_size")
        return _Experts(dims)


class _Experts(LanguageModel):
    num_experts = 4

    def __init__(self, dims: ModelDims) -> None:
        super().__init__()
        self.tokens = nn.Embedding(dims.vocab_size, dims.d_model)
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Linear(dims.d_model, dims.d_model, bias=False) for _ in range(self.num_experts))
            for _ in range(2)
        )

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        hidden = self.tokens(tokens)
        for layer in self.layers:
            chosen, mixed = hidden[..., : self.num_experts].argmax(-1), torch.zeros_like(hidden)
            for number, expert in enumerate(layer):
                mixed[chosen == number] = expert(hidden[chosen == number])
            hidden = hidden + mixed
        return Encoded(hidden, None, hidden.square().mean() if self.training else None)

    def output_weights(self) -> Projection:
        return Projection(self.tokens.weight, None)

    def idle_parameters(self) -> int:
        return sum(p.numel() for p in self.layers.parameters()) * (self.num_experts - 1) // self.num_experts


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(counting, "_answers", {})


@pytest.mark.parametrize(
    ("stated", "counted"),
    [
        (Gpt2Config(), CountedGpt2()),
        (ReformerConfig(), CountedReformer()),
        pytest.param(TransformerXLConfig(), CountedTransformerXL(), marks=pytest.mark.thorough),
        pytest.param(Mamba2Config(), CountedMamba2(), marks=pytest.mark.thorough),
    ],
    ids=lambda config: type(config).__name__,
)
def test_counted_costs_are_those_of_the_formulas(stated: LadderConfig, counted: LadderConfig) -> None:
    dims = stated.sized_for(1e4, vocab_size=56, seq_len=64)
    assert counted.costs_are_counted
    assert not stated.costs_are_counted
    assert counted.num_params(dims) == stated.num_params(dims)
    formula, count = (one.forward_flops_per_token(dims, Attention.CAUSAL) for one in (stated, counted))
    assert count.forward() == pytest.approx(formula.forward(), rel=1e-9)
    assert count.forward(0.5) == pytest.approx(formula.forward(0.5), rel=1e-9)
    assert count.train() == pytest.approx(formula.train(), rel=1e-9)


def test_a_counted_ladder_has_the_rungs_of_the_formulas_and_builds_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[ModelDims] = []

    def num_params(self: CountedGpt2, dims: ModelDims) -> object:
        built.append(dims)
        return Gpt2Config().num_params(dims)

    monkeypatch.setattr(CountedGpt2, "num_params", num_params)
    for size in (1e4, 3e4, 1e5, 1e6, 3e7, 3.5e8):
        built.clear()
        dims = CountedGpt2().sized_for(size, vocab_size=264, seq_len=128)
        assert dims == Gpt2Config().sized_for(size, vocab_size=264, seq_len=128)
        assert len(set(built)) <= 16
        assert max(one.d_model for one in built) < 2 * dims.d_model
    with pytest.raises(ValueError, match=r"no shape has about 3 .* the smallest 1,"):
        CountedGpt2().sized_for(3.0, vocab_size=264, seq_len=128)
    with pytest.raises(ValueError, match="give a positive number"):
        CountedGpt2().sized_for(float("inf"), vocab_size=264, seq_len=128)


def test_experts_that_look_at_values_are_counted_on_real_ones_and_idle_ones_apart() -> None:
    dims = ModelDims(vocab_size=48, seq_len=16, d_model=8, n_layers=2, n_heads=2, d_ff=32)
    params, flops = Experts().num_params(dims), Experts().forward_flops_per_token(dims, Attention.CAUSAL)
    assert (params.embedding, params.non_embedding, params.active) == (48 * 8, 2 * 4 * 64, 2 * 64)
    assert flops.components == {"layers": 2 * 2.0 * 64, "logits": 2.0 * 8 * 48}
    assert flops.train() == 3 * flops.forward()


def test_what_cannot_be_built_is_refused_in_one_line() -> None:
    dims = ModelDims(vocab_size=48, seq_len=16, d_model=8, n_layers=2, n_heads=2, d_ff=32)
    with pytest.raises(ValueError, match=r"^no such shape$"):
        Experts(refuses="in words").num_params(dims)
    with pytest.raises(ValueError, match=r"^its module cannot be built at d_model 8.*KeyError: 'hidden_size'$"):
        Experts(refuses="by a defect").num_params(dims)


def test_answers_are_kept_and_damaged_ones_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dims = ModelDims(vocab_size=48, seq_len=16, d_model=8, n_layers=2, n_heads=2, d_ff=32)
    found = Experts().num_params(dims)
    (file,) = (tmp_path / "cache" / "counts").rglob("*.json")
    monkeypatch.setattr(counting, "_answers", {})
    changed = {"answer": {**json.loads(file.read_bytes())["answer"], "embedding": 7}}
    file.write_text(json.dumps(changed))
    assert Experts().num_params(dims).embedding == 7
    for damage in (b"", b"{", b"[]", b'{"answer'):
        monkeypatch.setattr(counting, "_answers", {})
        file.write_bytes(damage)
        assert Experts().num_params(dims) == found
        file.unlink(missing_ok=True)


def test_another_version_of_a_library_is_another_question(monkeypatch: pytest.MonkeyPatch) -> None:
    config, asked = CountedGpt2(), {"question": "m:f", "config": counting._described(CountedGpt2()), "arguments": {}}
    key = counting._key(asked, config)
    assert key == counting._key(asked, config)
    monkeypatch.setattr(counting, "_version", lambda name: "0.0.1")
    assert counting._key(asked, config) != key


def test_a_function_that_fails_in_another_way_is_a_plug_ins_defect() -> None:
    with pytest.raises(PluginError, match=r"architecture 'gpt2': torch cannot tell what it costs: AttributeError"):
        counting.answer("archbench.flops.costs:no_such_question", CountedGpt2())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("model.layers.3.self_attn.q_proj", "self_attn"),
        ("model.transformer.h.0.attn", "attn"),
        ("blocks.0", "blocks"),
        ("blocks.0.1.up", "up"),
        ("model.layers.1.mlp.experts.7.w1", "mlp"),
        ("model.embed_tokens", None),
    ],
)
def test_work_belongs_to_what_a_block_calls_it(path: str, name: str | None) -> None:
    assert component_of(path) == name


_ASKS = """
import sys
from archbench.contracts import counting
from archbench_gpt2.config import Gpt2Config
config = Gpt2Config()
for question in ("archbench.flops.costs:counted_params", "os:abort", "archbench.flops.costs:counted_params"):
    try:
        found = counting.answer(question, config, **({"dims": DIMS} if "params" in question else {}))
        print(found["non_embedding"])
    except Exception as error:
        print(type(error).__name__, error)
    counting._answers.clear()
print("torch" in sys.modules)
"""


def test_a_process_without_torch_asks_another_and_outlives_its_death(tmp_path: Path) -> None:
    dims = ModelDims(vocab_size=48, seq_len=16, d_model=8, n_layers=2, n_heads=2, d_ff=32)
    done = subprocess.run(
        [sys.executable, "-c", _ASKS.replace("DIMS", repr(dims.model_dump()))],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = str(Gpt2Config().num_params(dims).non_embedding)
    first, died, again, torch_is_loaded = done.stdout.splitlines()
    assert (first, again, torch_is_loaded) == (expected, expected, "False")
    assert died.startswith("PluginError architecture 'gpt2': torch cannot tell what it costs: ")
    assert done.stderr == ""
