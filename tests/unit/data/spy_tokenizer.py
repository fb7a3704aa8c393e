"""A tokenizer that tells what it was trained on."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from archbench.builtins.text.bytes_tokenizer import BytesTokenizer
from archbench.contracts.data import Tokenizer, TokenizerConfig


class SpyTokenizerConfig(TokenizerConfig):
    """Bytes, that remember which texts they were shown."""

    kind: Literal["spy"] = "spy"
    file: Path

    def prepare(self, training_texts: Iterable[str]) -> Tokenizer:
        self.file.write_text(json.dumps(list(training_texts)))
        return BytesTokenizer()
