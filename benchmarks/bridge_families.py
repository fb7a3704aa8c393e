"""Which families of the installed transformers pass the trials of `kind: transformers`, and why the others do not.

Each is tried as a spec would try it, by name alone: a small model of the library's default proportions is built, run,
and followed back by gradient. One process on one thread; some families take a minute.

Run: `python benchmarks/bridge_families.py [MODEL_TYPE...]`: all families of each track unless some are named.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from pydantic import ValidationError

from archbench.contracts.architecture import Attention
from archbench.errors import ArchbenchError, in_one_line
from archbench.report.plotting import markdown_table
from archbench_transformers.config import TransformersConfig

TRACKS = {"causal": Attention.CAUSAL, "masked": Attention.BIDIRECTIONAL}


def main(wanted: Sequence[str]) -> None:
    """Prints a row for each family and track, then how many of them pass."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    warnings.simplefilter("ignore")
    families = dict(zip(TRACKS, (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES), strict=True))
    rows, counts = [], []
    for track, names in families.items():
        tried = {name: why_not(name, TRACKS[track]) for name in sorted(names) if not wanted or name in wanted}
        rows += [[name, track, "passes" if why is None else why] for name, why in tried.items()]
        counts.append(f"{track}: {sum(why is None for why in tried.values())} of {len(tried)} pass")
    print(markdown_table(("family", "track", "outcome"), rows))
    print(f"\ntransformers {version('transformers')}; {'; '.join(counts)}")


def why_not(model_type: str, attention: Attention) -> str | None:
    """Why a family is refused, in one line; None where it passes."""
    try:
        return TransformersConfig(model_type=model_type).unsupported(attention)
    except (ArchbenchError, ValidationError) as error:
        return in_one_line(error)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(sys.argv[1:])
