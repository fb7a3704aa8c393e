"""Runs that begin from models that transformers saved: the same function, and clear words where it is another one."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForPreTraining,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from archbench.contracts.architecture import Attention, ModelDims
from archbench.contracts.objective import IGNORE_TARGET
from archbench.data.batches import EvaluationBatches
from archbench.data.corpus import Corpus
from archbench.errors import SpecError
from archbench.registry import Registry
from archbench.runs.model_folder import read_model_folder
from archbench.spec.identity import StartingPoint
from archbench.training.engine import TrainedModule
from archbench.training.starting_weights import copy_saved_model

VOCABULARY, CONTEXT = 257, 48
PLANNED_VOCABULARY = 264
"""With the ids that round it up to a multiple of eight."""


def gpt2(**changes: Any) -> GPT2LMHeadModel:
    torch.manual_seed(1)
    shape = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(**{**shape, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0, **changes}))


def bert_shape(positions: int) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": positions,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }


def bert(model_class: type[PreTrainedModel] = BertForMaskedLM) -> PreTrainedModel:
    torch.manual_seed(2)
    return model_class(BertConfig(**bert_shape(CONTEXT)))


def roberta() -> RobertaForMaskedLM:
    torch.manual_seed(3)
    return RobertaForMaskedLM(
        RobertaConfig(**bert_shape(CONTEXT + 2), type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)
    )


def albert(model_class: type[PreTrainedModel] = AlbertForMaskedLM) -> PreTrainedModel:
    torch.manual_seed(4)
    return model_class(AlbertConfig(**bert_shape(CONTEXT), embedding_size=16))


def modernbert() -> ModernBertForMaskedLM:
    torch.manual_seed(5)
    return ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=CONTEXT,
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=48,
            pad_token_id=None,
        )
    )


def llama(**changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(4)
    shape = bert_shape(CONTEXT)
    del shape["hidden_dropout_prob"], shape["attention_probs_dropout_prob"]
    return LlamaForCausalLM(LlamaConfig(**{**shape, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, **changes}))


def saved(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def started(
    registry: Registry, folder: Path, kind: str, attention: Attention, *, seq_len: int = CONTEXT, extra_ids: int = 0
) -> TrainedModule:
    architecture = registry.architectures[kind].config()
    model_folder = read_model_folder(folder)
    layout = architecture.saved_model(model_folder.config)
    dims = layout.dims.model_copy(update={"seq_len": seq_len, "vocab_size": layout.dims.vocab_size + extra_ids})
    objective = registry.objectives["causal_lm"].config()
    torch.manual_seed(9)
    module = TrainedModule(architecture.build(dims, attention), None, objective)
    copy_saved_model(module, model_folder, layout)
    return module.eval()


def logits_of(module: TrainedModule, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module.model.logits(module.model.encode(tokens).hidden)


@pytest.mark.parametrize(
    ("kind", "make", "attention"),
    [
        ("gpt2", gpt2, Attention.CAUSAL),
        ("bert", bert, Attention.BIDIRECTIONAL),
        ("bert", lambda: bert(BertForPreTraining), Attention.BIDIRECTIONAL),
        ("roberta", roberta, Attention.BIDIRECTIONAL),
        ("albert", albert, Attention.BIDIRECTIONAL),
        ("albert", lambda: albert(AlbertForPreTraining), Attention.BIDIRECTIONAL),
        ("modernbert", modernbert, Attention.BIDIRECTIONAL),
        ("llama", llama, Attention.CAUSAL),
    ],
    ids=["gpt2", "bert", "bert-with-pooler", "roberta", "albert", "albert-with-pooler", "modernbert", "llama"],
)
@pytest.mark.parametrize("seq_len", [CONTEXT, 20])
def test_the_started_model_is_the_saved_one(
    registry: Registry,
    tmp_path: Path,
    kind: str,
    make: Callable[[], PreTrainedModel],
    attention: Attention,
    seq_len: int,
) -> None:
    original = make().eval()
    module = started(registry, saved(original, tmp_path / "model"), kind, attention, seq_len=seq_len)
    # Ids from 2 on: the library counts RoBERTa's positions from its padding token, id 1.
    tokens = torch.randint(2, VOCABULARY, (3, seq_len))
    with torch.no_grad():
        output = original(tokens)
    expected = output.prediction_logits if hasattr(output, "prediction_logits") else output.logits
    # Single precision through two layers; GELU is computed by another formula.
    assert torch.allclose(logits_of(module, tokens), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_key_value_heads": 4}, "num_key_value_heads 4, this architecture computes 2"),
        ({"rms_norm_eps": 1e-6}, "rms_norm_eps 1e-06, this architecture computes 1e-05"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings True"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_theta 500000.0"),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}, "rope_type 'linear'"),
    ],
)
def test_a_llama_that_computes_something_else_is_refused(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = read_model_folder(saved(llama(**changes), tmp_path / "model"))
    with pytest.raises(ValueError, match=said):
        registry.architectures["llama"].config().saved_model(folder.config)


def test_a_llama_saved_by_an_older_version_is_read(registry: Registry) -> None:
    config = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5}
    older = registry.architectures["llama"].config().saved_model({**config, "rope_theta": 1e4, "rope_scaling": None})
    assert older.dims.d_model == 32
    with pytest.raises(ValueError, match="rope_type 'dynamic'"):
        registry.architectures["llama"].config().saved_model({**config, "rope_scaling": {"type": "dynamic"}})


def test_a_file_of_the_base_model_alone_serves_too(registry: Registry, tmp_path: Path) -> None:
    original = gpt2().eval()
    base = GPT2Model(original.config)
    base.load_state_dict(original.transformer.state_dict())
    module = started(registry, saved(base, tmp_path / "model"), "gpt2", Attention.CAUSAL)
    tokens = torch.randint(0, VOCABULARY, (2, CONTEXT))
    with torch.no_grad():
        assert torch.allclose(logits_of(module, tokens), original(tokens).logits, atol=2e-5)


def test_weights_in_several_files_are_read(registry: Registry, tmp_path: Path) -> None:
    original = gpt2().eval()
    original.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    assert (tmp_path / "model" / "model.safetensors.index.json").is_file()
    module = started(registry, tmp_path / "model", "gpt2", Attention.CAUSAL)
    tokens = torch.randint(0, VOCABULARY, (2, CONTEXT))
    with torch.no_grad():
        assert torch.allclose(logits_of(module, tokens), original(tokens).logits, atol=2e-5)


def test_ids_that_the_saved_model_lacks_get_the_mean_of_its_rows(registry: Registry, tmp_path: Path) -> None:
    original = gpt2(initializer_range=0.5).eval()
    module = started(registry, saved(original, tmp_path / "model"), "gpt2", Attention.CAUSAL, extra_ids=7)
    tokens = torch.randint(0, VOCABULARY, (2, CONTEXT))
    logits = logits_of(module, tokens)
    with torch.no_grad():
        expected = original(tokens).logits
    # Logits of about 10 in single precision.
    assert torch.allclose(logits[..., :VOCABULARY], expected, atol=2e-4)
    assert torch.allclose(logits[..., VOCABULARY:], expected.mean(-1, keepdim=True), atol=2e-4)
    added = logits.logsumexp(-1) - expected.logsumexp(-1)
    assert 0.0 < float(added.max()) <= math.log(1 + 7 / VOCABULARY) + 1e-4


def start_of(folder: Path) -> dict[str, Any]:
    return {
        "start": StartingPoint(weights_sha256=read_model_folder(folder).weights_sha256),
        "execution": {"start_dir": str(folder)},
        "dims": ModelDims(vocab_size=PLANNED_VOCABULARY, seq_len=32, d_model=32, n_layers=2, n_heads=4, d_ff=128),
    }


def test_a_run_begins_with_the_loss_that_transformers_has(
    registry: Registry, corpus: Corpus, plan: Any, train_to_end: Any, tmp_path: Path
) -> None:
    original = gpt2(initializer_range=0.1).eval()
    folder = saved(original, tmp_path / "model")
    # A rate so small that the weights stay what they were.
    directory = plan(training={"peak_learning_rate": 1e-12}, total_steps=4, **start_of(folder))
    outcome = train_to_end(directory)
    assert outcome.reason is None
    batches = EvaluationBatches(
        corpus, registry.objectives["causal_lm"].config(), seq_len=32, rows=4, tokens=1024, seed=0
    )
    original.resize_token_embeddings(PLANNED_VOCABULARY, mean_resizing=False)
    table = original.transformer.wte.weight.data
    table[VOCABULARY:] = table[:VOCABULARY].mean(0)
    total = 0.0
    with torch.no_grad():
        for batch in batches:
            logits = original(torch.from_numpy(batch["tokens"])).logits
            total += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1),
                torch.from_numpy(batch["targets"]).flatten(),
                ignore_index=IGNORE_TARGET,
                reduction="sum",
            ).item()
    assert outcome.curve[-1].validation_loss_nats == pytest.approx(total / batches.num_predictions, abs=1e-5)
    fresh = train_to_end(plan("fresh", training={"peak_learning_rate": 1e-12}, total_steps=4))
    assert abs(fresh.curve[-1].validation_loss_nats - outcome.curve[-1].validation_loss_nats) > 0.05


def test_another_model_in_the_folder_fails_the_run_in_one_line(plan: Any, train_to_end: Any, tmp_path: Path) -> None:
    first, second = saved(gpt2(), tmp_path / "first"), saved(gpt2(initializer_range=0.1), tmp_path / "second")
    settings = start_of(first)
    settings["execution"] = {"start_dir": str(second)}
    outcome = train_to_end(plan(**settings))
    assert "holds a model with SHA-256" in outcome.reason
    assert "it plans anew" in outcome.reason


def edited(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("gpt2", {"activation_function": "relu"}, r"its config says activation_function 'relu', this architecture"),
        ("gpt2", {"model_type": "llama"}, r"its config says model_type 'llama'"),
        ("bert", {}, r"its config says model_type 'gpt2'"),
        ("transformer_xl", {}, r"architecture 'transformer_xl' cannot begin from a model of transformers"),
    ],
)
def test_another_network_is_refused(
    registry: Registry, tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    folder = saved(gpt2(), tmp_path / "model")
    edited(folder, **changes)
    with pytest.raises(ValueError, match=message):
        registry.architectures[kind].config().saved_model(read_model_folder(folder).config)


@pytest.mark.parametrize(
    ("make", "kind", "changes", "message"),
    [
        (albert, "albert", {"num_hidden_groups": 2}, r"num_hidden_groups 2, this architecture computes 1"),
        (albert, "albert", {"embedding_size": 8}, r"embedding_size 8, this architecture computes 16"),
        (modernbert, "modernbert", {"local_attention": 64}, r"local_attention 64, this architecture computes 128"),
        (modernbert, "modernbert", {"layer_types": ["full_attention"] * 4}, r"layer_types \['full_attention'"),
        (modernbert, "modernbert", {"norm_bias": True}, r"norm_bias True, this architecture computes False"),
        (
            modernbert,
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5e5}}},
            r"rope \(500000\.0, 10000\.0\)",
        ),
    ],
)
def test_another_variant_of_an_encoder_is_refused(
    registry: Registry,
    tmp_path: Path,
    make: Callable[[], PreTrainedModel],
    kind: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    folder = saved(make(), tmp_path / "model")
    edited(folder, **changes)
    with pytest.raises(ValueError, match=message):
        registry.architectures[kind].config().saved_model(read_model_folder(folder).config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_embd": 16}, r"'transformer\.h\.0\..*' has shape \(96,\), the model to train needs \(48,\)"),
        ({"n_layer": 3}, r"has no weights 'transformer\.h\.2\."),
        ({"n_layer": 1}, r"holds 'transformer\.h\.1\..*', which the model to train lacks"),
        ({"n_positions": 64}, r"'transformer\.wpe\.weight' has shape \(48, 32\), the model to train needs \(64, 32\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = saved(gpt2(), tmp_path / "model")
    edited(folder, **changes)
    with pytest.raises(SpecError, match=message) as raised:
        started(registry, folder, "gpt2", Attention.CAUSAL, seq_len=changes.get("n_positions", CONTEXT))
    assert "\n" not in str(raised.value)


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"model: no such folder; give one that `save_pretrained`"),
        (pickle_only, r"model: holds pickled weights only, which can run code when they are read"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model: has no model\.safetensors"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: cannot be read \(No such file"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: is not JSON"),
        (cut, r"model\.safetensors: cannot be read as safetensors: "),
    ],
    ids=["no-folder", "pickled", "no-weights", "no-config", "bad-config", "cut-off"],
)
def test_a_damaged_folder_is_one_clear_line(
    registry: Registry, tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    folder = saved(gpt2(), tmp_path / "model")
    damage(folder)
    with pytest.raises(SpecError, match=message) as raised:
        started(registry, folder, "gpt2", Attention.CAUSAL)
    assert "\n" not in str(raised.value)
