"""Made-up documents, the same each time, for runs of a few steps. Imports nothing."""

import random

_WORDS = ("the", "model", "scale", "loss", "law", "token", "layer", "memory", "hash", "data", "falls", "of")


def small_texts(num_documents: int) -> list[str]:
    """`num_documents` documents of 20 to 120 words."""
    rng = random.Random(0)
    return [f"{' '.join(rng.choices(_WORDS, k=rng.randint(20, 120)))}." for _ in range(num_documents)]
