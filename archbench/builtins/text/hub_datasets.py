"""Well-known data sets of the Hugging Face hub by name: where each is, how its rows become documents, its licence."""

import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from archbench.builtins.text.hub_rows import RowSource
from archbench.contracts.data import DatasetConfig, Document, ReadingLog
from archbench.errors import DataError


class _HubDataset(DatasetConfig):
    """The training split of a public data set, streamed until `limit_bytes` are read."""

    licence: ClassVar[str]
    """Of the data set as published; its texts may have owners of their own."""

    local_copy: str | None = None
    """Folder with a copy of the hub's repository, relative to that of the spec, instead of the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub; name a commit so that others get the same text."""
    limit_bytes: PositiveInt = 1_000_000_000
    """Stops when about this many UTF-8 bytes of text are read: these data sets can be larger than a disk."""

    def documents(self) -> Iterator[Document]:
        """Documents in the order of the data set. Raises DataError where it cannot be had, or is laid out otherwise."""
        return self.logged_documents(ReadingLog())

    def logged_documents(self, log: ReadingLog) -> Iterator[Document]:
        """The same; rows whose text is null are noted in `log`."""
        total = 0
        for document in self._all_documents(self._source(log)):
            yield document
            total += len(document.text.encode("utf-8", "replace"))
            if total >= self.limit_bytes:
                return

    def cache_key(self) -> str | None:
        """Names, sizes and modification times of a local copy; for the hub a constant."""
        return self._source(ReadingLog()).cache_key()

    @abstractmethod
    def _place(self) -> tuple[str, str | None]:
        """Id on the hub and configuration."""

    @abstractmethod
    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        """The document in one row; None for a row that has no text, or is none of those asked for."""

    def _all_documents(self, source: RowSource) -> Iterator[Document]:
        for number, row in enumerate(source.rows()):
            if (document := self._document(source, row, number)) is not None:
                yield document

    def _source(self, log: ReadingLog) -> RowSource:
        hub_id, name = self._place()
        return RowSource(
            kind=self.kind,
            local=self._local_folder(),
            hub_id=hub_id,
            name=name,
            split="train",
            revision=self.revision,
            streaming=True,
            local_key="data.dataset.local_copy",
            log=log,
        )

    def _local_folder(self) -> Path | None:
        if self.local_copy is None:
            return None
        folder = self.located(self.local_copy)
        if not folder.is_dir():
            raise DataError(
                f"data.dataset.local_copy: {folder}: no such folder; download it by `hf download --repo-type dataset "
                f"{self._place()[0]} --local-dir {folder}`"
            )
        return folder


def _document(name: str, text: str | None) -> Document | None:
    return None if text is None else Document(id=name, text=text)


FINEWEB_LANGUAGES = {
    "ar": "arb_Arab",
    "cs": "ces_Latn",
    "de": "deu_Latn",
    "es": "spa_Latn",
    "fi": "fin_Latn",
    "fr": "fra_Latn",
    "hi": "hin_Deva",
    "id": "ind_Latn",
    "it": "ita_Latn",
    "ja": "jpn_Jpan",
    "ko": "kor_Hang",
    "nl": "nld_Latn",
    "pl": "pol_Latn",
    "pt": "por_Latn",
    "ru": "rus_Cyrl",
    "sv": "swe_Latn",
    "tr": "tur_Latn",
    "uk": "ukr_Cyrl",
    "vi": "vie_Latn",
    "zh": "cmn_Hani",
}
"""ISO 639-1 -> configuration of FineWeb 2, for the languages asked for most."""


class FinewebConfig(_HubDataset):
    """Dataset `fineweb`: web pages by language (Penedo et al. 2024 and 2025)."""

    kind: Literal["fineweb"] = "fineweb"
    summary: ClassVar[str] = "web pages in one of a thousand languages (FineWeb, FineWeb 2), streamed from the hub"
    licence: ClassVar[str] = "ODC-By 1.0; the pages also fall under the terms of use of Common Crawl"

    language: str = Field("en", pattern=r"^([a-z]{2}|[a-z]{3}_[A-Z][a-z]{3})$")
    """Two letters such as `de`, or a configuration of FineWeb 2 such as `gsw_Latn`; `en` is the first FineWeb."""

    def _place(self) -> tuple[str, str | None]:
        if self.language == "en":
            return "HuggingFaceFW/fineweb", "sample-10BT"
        if len(self.language) > 2:
            return "HuggingFaceFW/fineweb-2", self.language
        if self.language not in FINEWEB_LANGUAGES:
            raise DataError(
                f"data.dataset.language: got {self.language!r}, expected en, {', '.join(FINEWEB_LANGUAGES)}, or a "
                "configuration of FineWeb 2 such as gsw_Latn"
            )
        return "HuggingFaceFW/fineweb-2", FINEWEB_LANGUAGES[self.language]

    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        source.require(row, number, "id")
        return _document(str(row["id"]), source.text(row, number, "text"))


class WikipediaConfig(_HubDataset):
    """Dataset `wikipedia`: articles without markup, by language."""

    kind: Literal["wikipedia"] = "wikipedia"
    summary: ClassVar[str] = "articles of one language's Wikipedia, streamed from the hub"
    licence: ClassVar[str] = "CC-BY-SA 3.0 and GFDL"

    language: str = Field("en", pattern=r"^[a-z][a-z-]*$")
    """The Wikipedia's subdomain, such as `de` or `simple`."""
    date: str = Field("20231101", pattern=r"^[0-9]{8}$")
    """Of the dump."""

    def _place(self) -> tuple[str, str | None]:
        return "wikimedia/wikipedia", f"{self.date}.{self.language}"

    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        source.require(row, number, "id")
        return _document(f"{self.language}:{row['id']}", source.text(row, number, "text"))


_ARTICLE_HEADING = re.compile(r" = [^=\s](?:[^=]*[^=\s])? = \s*")
"""A line such as ` = Robert Boulter = `; sections have more equals signs."""


class WikitextConfig(_HubDataset):
    """Dataset `wikitext`: good and featured articles (Merity et al. 2016), untokenised; one document an article."""

    kind: Literal["wikitext"] = "wikitext"
    summary: ClassVar[str] = "WikiText-2 or WikiText-103, raw, joined to articles, from the hub"
    licence: ClassVar[str] = "CC-BY-SA 3.0 and GFDL"

    size: Literal[2, 103] = 103

    def _place(self) -> tuple[str, str | None]:
        return "Salesforce/wikitext", f"wikitext-{self.size}-raw-v1"

    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        return _document(str(number), source.text(row, number, "text"))

    def _all_documents(self, source: RowSource) -> Iterator[Document]:
        """Rows are single lines: an article goes from its heading up to the next one's."""
        lines: list[str] = []
        number = 0
        for line in super()._all_documents(source):
            if _ARTICLE_HEADING.fullmatch(line.text) and lines:
                yield Document(id=f"train:{number}", text="".join(lines))
                lines, number = [], number + 1
            lines.append(line.text if line.text.endswith("\n") else f"{line.text}\n")
        if lines:
            yield Document(id=f"train:{number}", text="".join(lines))


class OpenWebTextConfig(_HubDataset):
    """Dataset `openwebtext`: pages linked from Reddit (Gokaslan and Cohen 2019), an open copy of GPT-2's WebText."""

    kind: Literal["openwebtext"] = "openwebtext"
    summary: ClassVar[str] = "OpenWebText, the open copy of WebText, streamed from the hub"
    licence: ClassVar[str] = "packaging CC0; the pages belong to their authors"

    # The main branch needs a loading script, which the datasets library no longer runs.
    revision: str | None = "refs/convert/parquet"

    def _place(self) -> tuple[str, str | None]:
        return "Skylion007/openwebtext", None

    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        return _document(f"train:{number}", source.text(row, number, "text"))


PERMISSIVE_LICENCES = frozenset(
    {"apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "isc", "mit", "unlicense"}
)
"""Names of GitHub's licences, as the column `license` holds them."""


class CodeParrotConfig(_HubDataset):
    """Dataset `codeparrot`: Python files of GitHub, near-duplicates removed (Tunstall et al. 2022)."""

    kind: Literal["codeparrot"] = "codeparrot"
    summary: ClassVar[str] = "Python files of GitHub with permissive licences (codeparrot-clean), streamed from the hub"
    licence: ClassVar[str] = "each file its own, in the column `license`"

    licences: Literal["permissive", "all"] = "permissive"
    """Which files are read, by their licence."""

    def _place(self) -> tuple[str, str | None]:
        return "codeparrot/codeparrot-clean", None

    def _document(self, source: RowSource, row: dict[str, Any], number: int) -> Document | None:
        for column in ("repo_name", "path", "license"):
            source.require(row, number, column)
        if self.licences == "permissive" and row["license"] not in PERMISSIVE_LICENCES:
            return None
        return _document(f"{row['repo_name']}/{row['path']}", source.text(row, number, "content"))
