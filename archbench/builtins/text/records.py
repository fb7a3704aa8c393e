"""Records with a column of text to documents: which have none, and what is said of it."""

from dataclasses import dataclass
from typing import Any

from archbench.contracts.data import Document, ReadingLog
from archbench.errors import DataError

NO_TEXT = "no text (null)"
_SURELY_ANOTHER_COLUMN = 1000
"""Records without the column, and none with it, after which a file surely has it under another name."""


@dataclass(slots=True)
class RecordReader:
    """Documents of one file of records. Records without text are noted; a file in which none has any is refused."""

    text_field: str
    id_field: str | None
    log: ReadingLog
    documents: int = 0
    _nulls: int = 0
    _lacking: int = 0
    _first_lacking: str = ""

    def document(self, record: dict[str, Any], where: str, default_id: str) -> Document | None:
        """The document in `record`, which stands at `where`; None if it has no text. Raises DataError for no text."""
        text = record.get(self.text_field)
        if text is None:
            self._leave_out(record, where)
            return None
        if not isinstance(text, str):
            raise DataError(
                f"{where}: expected text under {self.text_field!r}, got a {type(text).__name__}; "
                "set data.dataset.text_field to a key whose value is text"
            )
        self.documents += 1
        if self.id_field is None:
            return Document(id=default_id, text=text)
        if record.get(self.id_field) is None:
            raise DataError(f"{where}: has no {self.id_field!r}; set data.dataset.id_field to a key of every record")
        return Document(id=str(record[self.id_field]), text=text)

    def finish(self) -> None:
        """Raises DataError if no record of the file has the column of the text."""
        if self._lacking and not self.documents and not self._nulls:
            raise DataError(f"{self._first_lacking}; set data.dataset.text_field")

    def _leave_out(self, record: dict[str, Any], where: str) -> None:
        if self.text_field in record:
            self._nulls += 1
            self.log.leave_out("records", NO_TEXT, where)
            return
        if not self._lacking:
            keys = ", ".join(map(repr, record))[:200] or "an empty object"
            self._first_lacking = f"{where}: expected text under {self.text_field!r}, got only {keys}"
        self._lacking += 1
        if self._lacking >= _SURELY_ANOTHER_COLUMN:
            self.finish()
        self.log.leave_out("records", f"no key {self.text_field!r}", where)
