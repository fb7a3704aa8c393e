"""Text that tells how often it was read, in a module that other processes can import."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.contracts.data import DatasetConfig, Document
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpus


class Counted(DatasetConfig):
    """Documents that leave a mark whenever they are read."""

    kind: Literal["counted"] = "counted"
    marks: Path
    count: int = 40
    key: str | None = "key"

    def documents(self) -> Iterator[Document]:
        with self.marks.open("a") as stream:
            stream.write("read\n")
        return (Document(f"{number}", f"text {number} " * 9) for number in range(self.count))

    def cache_key(self) -> str | None:
        return self.key

    @property
    def times_read(self) -> int:
        return len(self.marks.read_text().splitlines())


def prepared(dataset: Counted, cache: Path, report: Callable[[str], None] = lambda _: None) -> Corpus:
    return prepare_corpus(dataset, BytesTokenizerConfig(), validation_fraction=0.2, cache_dir=cache, report=report)


def corpus_hash_of(dataset: Counted, cache: Path) -> str:
    """The hash of the text as prepared in the process that is asked."""
    return prepared(dataset, cache).corpus_hash
