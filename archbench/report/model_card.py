"""The README.md of an exported model: what it is, what it was trained on and how, what it reaches, what it is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.data.corpus import Corpus
from archbench.report.plotting import markdown_table
from archbench.results.reference_lines import end_place
from archbench.results.runs import RunRecord
from archbench.spec.identity import ORDERS_WITH_MEMORY, RunPlan
from archbench.spec.yaml_writer import to_yaml
from archbench.units import human_count


@dataclass(frozen=True, slots=True)
class CardSubject:
    """What a card is about."""

    record: RunRecord
    plan: RunPlan
    model_class: str | None
    """Of transformers; None where archbench alone loads it."""
    positions_given: bool
    tokenizer: bool
    corpus: Corpus | None
    """None where the prepared text is no longer there."""
    spec: Mapping[str, Any] | None
    """Of a scan that holds the run."""
    licence: str | None


def model_card(subject: CardSubject) -> str:
    """The page, in Markdown, with the front matter that model hubs read."""
    record = subject.record
    title = f"{record.architecture}, {human_count(record.non_embedding_params)} parameters, seed {record.seed}"
    parts = [
        _front_matter(subject),
        f"# {title}",
        f"A model of a scaling-law experiment, trained and exported by archbench. Run `{record.run_id}`.",
        f"## Load it\n\n{_loading(subject)}",
        f"## What it reaches\n\n{_results(record)}",
        f"## What it was trained on\n\n{_text(subject)}",
        f"## How it was trained\n\n{_training(subject)}",
        f"## What it is not for\n\n{_limits(subject)}",
        f"## Licence\n\n{_licence(subject)}",
    ]
    if subject.spec:
        parts.append(f"## Spec\n\nThe scan that the run belongs to, in full:\n\n```yaml\n{to_yaml(subject.spec)}```")
    return "\n\n".join(parts) + "\n"


def _front_matter(subject: CardSubject) -> str:
    content: dict[str, Any] = {
        "library_name": "transformers" if subject.model_class else "archbench",
        "license": subject.licence or "unknown",
        "tags": ["archbench", "scaling-laws", subject.record.architecture],
    }
    if subject.model_class:
        causal = subject.record.track == "causal"
        content["pipeline_tag"] = "text-generation" if causal else "fill-mask"
    return f"---\n{to_yaml(content)}---"


def _loading(subject: CardSubject) -> str:
    own = (
        "```python\nfrom pathlib import Path\n\nfrom archbench.host import default_host\n"
        "from archbench.training.export import load_model\n\n"
        'model = load_model(Path("."), default_host().registry)  # tokens [rows, seq_len] -> logits\n```'
    )
    if subject.model_class is None:
        return f"transformers has no class for this architecture; archbench loads it:\n\n{own}"
    lines = ["```python", f"from transformers import {_imports(subject)}", ""]
    lines.append(f'model = {subject.model_class}.from_pretrained(".").eval()')
    if subject.tokenizer:
        lines.append('tokenizer = AutoTokenizer.from_pretrained(".")')
    if subject.positions_given:
        lines.append("# positions = torch.arange(seq_len)[None]; model(input_ids, position_ids=positions)")
    remark = "" if subject.tokenizer else "\n\nIts tokenizer cannot be written for transformers; see the data below."
    return "\n".join([*lines, "```"]) + remark + f"\n\nOr by archbench:\n\n{own}"


def _imports(subject: CardSubject) -> str:
    return ", ".join([*(["AutoTokenizer"] if subject.tokenizer else []), str(subject.model_class)])


def _results(record: RunRecord) -> str:
    last = record.curve[-1]
    loss, bits = record.final_loss_nats, record.final_bits_per_byte
    rows = [
        ["validation loss", f"{loss:.4f} nats per predicted token"],
        *([["bits per byte", f"{bits:.4f}"]] if bits is not None else []),
        *([["beside n-gram models of its text", end_place(record)]] if record.reference_lines else []),
        ["steps", f"{last.step:,}"],
        ["tokens seen", f"{last.tokens:,}"],
        ["training compute", f"{last.exact_flops:.4g} FLOPs executed, {last.kaplan_flops:.4g} by 6ND"],
    ]
    return markdown_table(["", ""], rows)


def _text(subject: CardSubject) -> str:
    identity, corpus = subject.plan.identity, subject.corpus
    rows: list[Sequence[str]] = [["corpus hash", f"`{identity.data.corpus_hash}`"], ["order", identity.data.order]]
    if corpus is not None:
        statistics = corpus.statistics
        rows += [
            ["dataset", f"`{dict(corpus.dataset)}`"],
            ["training text", f"{statistics.train_documents:,} documents, {statistics.train_bytes:,} bytes"],
            ["training tokens", f"{corpus.unique_tokens:,}, each seen {_epochs(subject):.2f} times"],
            ["tokenizer", f"`{dict(corpus.tokenizer)}`, {corpus.text_vocab_size:,} ids"],
        ]
    else:
        rows.append(
            ["training tokens", f"{subject.plan.facts.unique_tokens:,}, each seen {_epochs(subject):.2f} times"]
        )
    return markdown_table(["", ""], rows)


def _epochs(subject: CardSubject) -> float:
    return subject.plan.identity.training.total_tokens / subject.plan.facts.unique_tokens


def _training(subject: CardSubject) -> str:
    identity, record = subject.plan.identity, subject.record
    training = identity.training
    # Identities of format 1 do not name it: they had one.
    schedule, optimizer = training.schedule, {"kind": "adamw", **training.optimizer}
    versions = record.details.get("timings", {}).get("versions", {})
    start = identity.start
    origin = "freshly initialised" if start is None else f"run {start.run_id}" if start.run_id else "a saved model"
    rows = [
        ["architecture", f"`{dict(identity.architecture)}`"],
        ["shape", f"`{identity.dims.model_dump()}`"],
        ["parameters", f"{record.non_embedding_params:,} without embeddings, {record.total_params:,} with"],
        ["objective", f"`{dict(identity.objective)}`"],
        ["begins", origin],
        ["batch", f"{training.batch_tokens:,} tokens in contexts of {identity.dims.seq_len}"],
        ["learning rate", f"{training.peak_learning_rate:g} at its peak, {schedule.kind}, {_warmup(schedule)}"],
        ["optimizer", f"`{optimizer}`"],
        ["precision", training.precision],
        ["seed", str(identity.seed)],
        *([["versions", ", ".join(f"{name} {version}" for name, version in versions.items())]] if versions else []),
    ]
    return markdown_table(["", ""], rows)


def _warmup(schedule: Any) -> str:
    return f"{schedule.warmup_steps} steps of warm-up"


def _limits(subject: CardSubject) -> str:
    lines = [
        "It was trained to measure how loss falls with compute, at a size and on a text that make that affordable. It "
        "is not instructed, not filtered, not evaluated on any task, and what it writes is not to be relied on.",
        f"Contexts longer than {subject.plan.identity.dims.seq_len} tokens are outside its training.",
    ]
    if subject.plan.identity.data.order in ORDERS_WITH_MEMORY:
        lines.append("It read contexts that begin anywhere in a document, so that it expects no start token.")
    return "\n".join(f"- {line}" for line in lines)


def _licence(subject: CardSubject) -> str:
    if subject.licence:
        return f"{subject.licence}."
    return (
        "None was stated. archbench's own licence covers archbench, not this model: what may be done with it depends "
        "on the text above. `archbench export --licence NAME` states one."
    )
