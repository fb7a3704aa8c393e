"""The protocol of an entry: the rules that it was trained and evaluated by, and that entries of one table share."""

import hashlib
from collections.abc import Mapping
from typing import Any

from archbench.leaderboard.entry import LeaderboardEntry
from archbench.runs.files import to_json

_FOUND_PER_RUN = ("peak_learning_rate", "total_steps")
"""What the rules give each size, and is no rule itself."""


def protocol_hash(entry: LeaderboardEntry) -> str:
    """Hash of the rules that an entry was trained and evaluated by; sizes, architecture and recipe aside.

    A recipe is what was found for the contender with some effort: its rate, its warm-up, and the settings of its
    optimizer. The effort, as its tuning's budget, and which optimizer it is, are rules.
    """
    return hashlib.sha256(to_json(rules_of_entry(entry))).hexdigest()[:12]


def rules_of_entry(entry: LeaderboardEntry) -> dict[str, Any]:
    """What `protocol_hash` is the hash of."""
    identity = entry.runs[0].identity or {}
    if identity.get("format") == 1:
        return _rules_of_format_1(entry, identity)
    return rules(entry.spec, entry.contender, entry.corpus_hash, identity)


def rules(
    spec: Mapping[str, Any], contender: str, corpus_hash: str | None, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """The rules of a `contender` of a resolved `spec`, of whose runs one has that `identity`."""
    shared = spec.get("training", {})
    training = {**shared, **spec.get("contenders", {}).get(contender, {}).get("training", {})}
    schedule, rate = training.get("schedule", {}), training.get("learning_rate")
    tune = rate.get("tune", {}) if isinstance(rate, Mapping) else {}
    return {
        "corpus": corpus_hash,
        "order": identity.get("data", {}).get("order"),
        "evaluation": evaluated_on(identity.get("evaluation", {})),
        "seq_len": identity.get("dims", {}).get("seq_len"),
        "batch_tokens": shared.get("batch_tokens"),
        "precision": shared.get("precision"),
        "schedule": {key: value for key, value in schedule.items() if not key.startswith("warmup_")},
        "optimizer": identity.get("training", {}).get("optimizer", {}).get("kind"),
        "scan": {key: value for key, value in spec.get("scan", {}).items() if key != "sizes"},
        "tuning": {key: value for key, value in tune.items() if key != "around"},
        "common": spec.get("common"),
    }


def _rules_of_format_1(entry: LeaderboardEntry, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What made the names of groups while all contenders of a scan had one recipe, with the rule of its rate."""
    spec = entry.spec
    return {
        "corpus": entry.corpus_hash,
        "order": identity.get("data", {}).get("order"),
        "evaluation": identity.get("evaluation", {}).get("tokens"),
        "seq_len": identity.get("dims", {}).get("seq_len"),
        "training": {key: value for key, value in identity.get("training", {}).items() if key not in _FOUND_PER_RUN},
        "scan": {key: value for key, value in spec.get("scan", {}).items() if key != "sizes"},
        "learning_rate": spec.get("training", {}).get("learning_rate"),
        "tuning": spec.get("tuning"),
    }


def evaluated_on(settings: Mapping[str, Any]) -> Any:
    """On how much text losses were measured: the curve's, and that at the end of runs that have such an evaluation."""
    tokens, final_tokens = settings.get("tokens"), settings.get("final_tokens")
    return tokens if final_tokens is None else [tokens, final_tokens]
