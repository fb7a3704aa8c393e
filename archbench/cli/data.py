"""`archbench data SPEC`: what text there is, and into how many tokens it is cut."""

from collections.abc import Mapping
from pathlib import Path

import click

from archbench.cli.common import (
    cache_option,
    host_with,
    json_option,
    note,
    override_option,
    plugin_option,
    print_json,
    spec_argument,
)
from archbench.cli.outputs.plans import DataOutput, LeftOutRow, ReadRow, TextRow, TokenizerRow
from archbench.cli.terminal import echo
from archbench.contracts.data import ReadingLog
from archbench.data.corpus import Corpus
from archbench.scans.texts import prepared_texts
from archbench.spec.load import load_spec
from archbench.units import counted, human_bytes


@click.command()
@spec_argument
@override_option
@cache_option
@plugin_option
@json_option
def data(
    spec: Path, overrides: tuple[str, ...], cache_dir: Path, plugin_files: tuple[Path, ...], as_json: bool
) -> None:
    """Prepare the texts of SPEC and show their sizes, tokens and bytes per token.

    Below: which files were read, by ending, and what was left out and why. Text is prepared if it is not yet in the
    cache; nothing is planned or trained.
    """
    loaded = load_spec(spec, host_with(plugin_files).registry, overrides)
    corpora = prepared_texts(loaded, cache_dir, note)
    content = {name: _described(corpus) for name, corpus in corpora.items()}
    first = next(iter(corpora.values()))
    tokenizer = TokenizerRow(str(first.tokenizer["kind"]), first.text_vocab_size, first.tokenizer_fingerprint)
    if as_json:
        print_json(DataOutput(content, tokenizer))
    else:
        _print(content, tokenizer)


def _described(corpus: Corpus) -> TextRow:
    statistics, log = corpus.statistics, corpus.reading or ReadingLog()
    return TextRow(
        dataset=str(corpus.dataset["kind"]),
        train_documents=statistics.train_documents,
        train_bytes=statistics.train_bytes,
        train_tokens=statistics.train_tokens,
        validation_documents=statistics.validation_documents,
        validation_tokens=statistics.validation_tokens,
        duplicates_removed=statistics.duplicates_removed,
        empty_removed=statistics.empty_removed,
        bytes_per_token=corpus.bytes_per_token,
        corpus_hash=corpus.corpus_hash,
        read=[ReadRow(one.ending, one.files, one.documents) for one in log.read.values()],
        left_out=[LeftOutRow(one.what, one.count, one.reason, one.first) for one in log.left_out.values()],
    )


def _print(texts: Mapping[str, TextRow], tokenizer: TokenizerRow) -> None:
    rows = [("text", "dataset", "documents", "bytes", "tokens", "validation", "bytes a token")]
    rows += [
        (
            name,
            text.dataset,
            f"{text.train_documents:,}",
            human_bytes(text.train_bytes),
            f"{text.train_tokens:,}",
            f"{text.validation_tokens:,}",
            f"{text.bytes_per_token:.2f}",
        )
        for name, text in texts.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        echo("  ".join((*left, *right)))
    ids = f"{tokenizer.kind} of {tokenizer.vocab_size:,} ids ({tokenizer.fingerprint[:12]})"
    echo(f"tokenizer {ids}; documents, bytes and tokens are those of the training split")
    for name, text in texts.items():
        for line in _reading_lines(text):
            echo(f"{name}: {line}" if len(texts) > 1 else line)


def _reading_lines(text: TextRow) -> list[str]:
    """What was read, by ending, and what was left out and why."""
    lines = [
        f"read      {row.ending}: {counted(row.files, 'file')}, {counted(row.documents, 'document')}"
        for row in text.read
    ]
    lines += [
        f"left out  {row.what}: {row.count:,} ({row.reason}), {'the first ' if row.count > 1 else ''}{row.first}"
        for row in text.left_out
    ]
    for count, words in ((text.empty_removed, "empty"), (text.duplicates_removed, "the same as an earlier one")):
        if count:
            lines.append(f"left out  documents: {count:,} ({words})")
    return lines
