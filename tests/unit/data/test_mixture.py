"""Mixtures: shares of bytes, and how a spec names them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from made_specs import spec_of

from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.builtins.text.mixture import MixtureConfig, MixturePart
from archbench.contracts.data import DatasetConfig, Document
from archbench.data.prepare import prepare_corpora
from archbench.errors import PluginError, SpecError
from archbench.host import default_host
from archbench.spec.schema import json_schema


class Letters(DatasetConfig):
    """Documents of a number and one letter, over and over."""

    kind: Literal["letters"] = "letters"
    letter: str
    length: int = 50
    count: int = 900

    def documents(self) -> Iterator[Document]:
        for number in range(self.count):
            yield Document(f"{self.letter}{number}", f"{number:06d}" + self.letter * (self.length - 6))

    def cache_key(self) -> str | None:
        return "key" if self.count < 1000 else None


def mixture(*parts: tuple[Letters, float], limit_bytes: int | None = None) -> MixtureConfig:
    named = {part.letter: MixturePart(dataset=part, weight=weight) for part, weight in parts}
    return MixtureConfig(parts=named, limit_bytes=limit_bytes)


def bytes_of(documents: list[Document], letter: str) -> int:
    return sum(len(document.text) for document in documents if letter in document.text)


@pytest.mark.parametrize(("weight_a", "weight_b"), [(1, 1), (3, 1), (0.1, 0.7)])
def test_shares_of_bytes_are_the_weights(weight_a: float, weight_b: float) -> None:
    text = mixture(
        (Letters(letter="a", length=50, count=900), weight_a), (Letters(letter="b", length=80, count=900), weight_b)
    )
    documents = list(text.documents())
    share = bytes_of(documents, "a") / sum(len(document.text) for document in documents)
    # No more than one document of a part is ahead of its share.
    assert share == pytest.approx(weight_a / (weight_a + weight_b), abs=80 / (50 * 100))


def test_shares_hold_at_every_moment() -> None:
    parts = mixture((Letters(letter="a", length=30, count=500), 1), (Letters(letter="b", length=70, count=500), 1))
    given = {"a": 0, "b": 0}
    for document in parts.documents():
        given[document.id[0]] += len(document.text)
        assert abs(given["a"] - given["b"]) <= 70


def test_it_ends_with_the_first_part_that_has_no_more() -> None:
    documents = list(
        mixture(
            (Letters(letter="a", length=50, count=10), 1), (Letters(letter="b", length=50, count=900), 1)
        ).documents()
    )
    assert bytes_of(documents, "a") == 500
    assert bytes_of(documents, "b") == 500


def test_a_limit_in_bytes_ends_it() -> None:
    parts = ((Letters(letter="a"), 1.0), (Letters(letter="b"), 1.0))
    assert sum(len(document.text) for document in mixture(*parts, limit_bytes=1000).documents()) == 1000


def test_it_is_the_same_text_each_time() -> None:
    text = mixture((Letters(letter="a", length=50, count=90), 1), (Letters(letter="b", length=60, count=90), 2))
    assert list(text.documents()) == list(text.documents())


def test_the_cache_key_changes_with_a_part_and_is_none_where_a_part_has_none() -> None:
    a, b, endless = (
        Letters(letter=letter, length=50, count=count) for letter, count in (("a", 9), ("b", 9), ("c", 1000))
    )
    assert mixture((a, 1), (b, 1)).cache_key() is not None
    assert mixture((a, 1), (endless, 1)).cache_key() is None


def test_validation_text_of_a_part_is_no_training_text_of_the_mixture(tmp_path: Path) -> None:
    target = Letters(letter="b", length=60, count=200)
    mixed = mixture((Letters(letter="a", length=60, count=200), 1), (target, 1))
    said: list[str] = []
    corpora = prepare_corpora(
        {"mixture": mixed, "target": target},
        BytesTokenizerConfig(),
        validation_fraction=0.2,
        cache_dir=tmp_path,
        report=said.append,
    )
    assert not [line for line in said if "also training text" in line]
    train = bytes(corpora["mixture"].train.ids.astype("uint8")).decode("latin-1")
    held_out = bytes(corpora["target"].validation.ids.astype("uint8")).decode("latin-1").split("\0")
    assert len(held_out) > 20
    assert not [text for text in held_out if text and text in train]


CODE = "{kind: installed_code, packages: [numpy], limit_bytes: 1e5}"
SPEC = """
name: mixed
contenders: {gpt2: {architecture: {kind: gpt2}}}
data:
  tokenizer: {kind: bytes}
  dataset:
    kind: mixture
    parts:
      english: {weight: 3, dataset: {kind: text_files, paths: [en.txt]}}
      code:
        dataset: CODE
scan: {sizes: [1e4], tokens: 1e5}
training: {seq_len: 64, batch_tokens: 1024, learning_rate: 1e-3}
""".replace("CODE", CODE)


def test_a_spec_names_parts_as_it_names_datasets(tmp_path: Path) -> None:
    for name, letter in (("en.txt", "e"), ("es.txt", "s")):
        (tmp_path / name).write_text(letter * 30)
    text = SPEC.replace(
        "{kind: installed_code, packages: [numpy], limit_bytes: 1e5}", "{kind: text_files, paths: [es.txt]}"
    )
    spec = spec_of(text, tmp_path / "spec.yaml")
    documents = list(spec.data.dataset.documents())
    assert sorted(document.id for document in documents) == ["en.txt", "es.txt"]
    dumped = spec.resolved()["data"]["dataset"]["parts"]
    assert dumped["english"] == {
        "weight": 3.0,
        "dataset": {
            "kind": "text_files",
            "paths": ["en.txt"],
            "text_field": "text",
            "id_field": None,
            "cut_bytes": None,
        },
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "limit_bytes: 1e5",
            "limit_byte: 1e5",
            r"s\.yaml:11: data\.dataset\.parts\.code\.dataset\.limit_byte: unkn",
        ),
        ("weight: 3", "weight: -3", r"s\.yaml:9: data\.dataset\.parts\.english\.weight: got -3"),
        ("weight: 3", "weigth: 3", r"s\.yaml:9: data\.dataset\.parts\.english\.weigth: unknown key"),
        ("kind: installed_code, ", "", r"s\.yaml:11: data\.dataset\.parts\.code\.dataset\.kind: is missing"),
        ("{kind: text_files, paths: [en.txt]}", "text_files", r"s\.yaml:9: data\.dataset\.parts\.english\.dataset: "),
    ],
)
def test_a_mistake_in_a_part_is_named_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        spec_of(SPEC.replace(old, new))
    assert "\n" not in str(raised.value)


def test_an_unknown_dataset_in_a_part_is_named() -> None:
    with pytest.raises(PluginError, match=r"parts\.code\.dataset\.kind: dataset 'installed_cod' is not reg"):
        spec_of(SPEC.replace("installed_code", "installed_cod"))


def test_one_part_is_no_mixture() -> None:
    text = SPEC.replace(
        "      code:\n        dataset: {kind: installed_code, packages: [numpy], limit_bytes: 1e5}\n", ""
    )
    with pytest.raises(SpecError, match=r"data\.dataset\.parts: .*at least 2"):
        spec_of(text)


def test_the_schema_lets_any_dataset_stand_in_a_part() -> None:
    schema = json_schema(default_host().registry)
    part = schema["$defs"]["dataset:mixture:MixturePart"]
    assert part["properties"]["dataset"]["$ref"] == "#/$defs/datasets"
