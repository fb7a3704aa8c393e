"""Which rules put entries into one table, and which part of a recipe is a contender's own."""

from typing import Any

import pytest
from made_boards import LAW, identified, scan

from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.protocol import protocol_hash
from archbench.testing.synthetic import SyntheticScan, synthetic_records

SPEC: dict[str, Any] = {
    "contenders": {"gpt2": {"architecture": {"kind": "gpt2"}}},
    "scan": {"sizes": [1e4, 2e4], "tokens": 1e6},
    "training": {
        "batch_tokens": 4096,
        "learning_rate": 3e-3,
        "schedule": {"kind": "cosine", "warmup_steps": 100, "final_fraction": 0.1},
        "precision": "fp32",
    },
}


@pytest.fixture(scope="module")
def entry() -> LeaderboardEntry:
    records = synthetic_records("gpt2", LAW, SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(1, 1, 1)))
    (made,) = make_entries(scan("demo", [identified(one) for one in records]))
    return made


def hashed(entry: LeaderboardEntry, own: dict[str, Any] | None = None, **sections: Any) -> str:
    contenders = {"gpt2": {"architecture": {"kind": "gpt2"}, **({"training": own} if own else {})}}
    return protocol_hash(entry.model_copy(update={"spec": {**SPEC, "contenders": contenders, **sections}}))


def training(**changes: Any) -> dict[str, Any]:
    return {**SPEC["training"], **changes}


TUNE = {"mode": "per_size", "around": 3e-3, "span": 4.0, "trials": 5, "rungs": 2, "eta": 2}


def test_a_recipe_is_no_part_of_the_protocol(entry: LeaderboardEntry) -> None:
    plain = hashed(entry)
    assert plain == hashed(entry, training=training(learning_rate=[1e-3, 2e-3]))
    assert plain == hashed(entry, {"learning_rate": {"power_law": {"coefficient": 1.0, "exponent": -0.4}}})
    assert plain == hashed(entry, {"schedule": {"kind": "cosine", "warmup_tokens": 1e4, "final_fraction": 0.1}})
    assert plain == hashed(entry, scan={"sizes": [1e5], "tokens": 1e6})


def test_the_effort_of_a_tuning_is_part_of_it_and_where_it_looked_is_not(entry: LeaderboardEntry) -> None:
    tuned = hashed(entry, training=training(learning_rate={"tune": TUNE}))
    assert tuned != hashed(entry)
    assert tuned == hashed(entry, {"learning_rate": {"tune": {**TUNE, "around": 1e-3}}})
    assert tuned != hashed(entry, {"learning_rate": {"tune": {**TUNE, "trials": 7}}})


@pytest.mark.parametrize(
    "sections",
    [
        {"training": training(batch_tokens=8192)},
        {"training": training(precision="bf16")},
        {"training": training(schedule={"kind": "linear", "warmup_steps": 100, "final_fraction": 0.1})},
        {"scan": {"sizes": [1e4, 2e4], "tokens": 2e6}},
        {"common": {"tie_output": True}},
    ],
)
def test_rules_that_all_share_are_part_of_it(entry: LeaderboardEntry, sections: dict[str, Any]) -> None:
    assert hashed(entry, **sections) != hashed(entry)


def test_the_kind_of_optimizer_is_part_of_it_and_its_settings_are_not(entry: LeaderboardEntry) -> None:
    def under(optimizer: dict[str, Any]) -> str:
        runs = []
        for run in entry.runs:
            assert run.identity is not None
            identity = {**run.identity, "training": {**run.identity["training"], "optimizer": optimizer}}
            runs.append(run.model_copy(update={"identity": identity}))
        return hashed(entry.model_copy(update={"runs": tuple(runs)}))

    assert under({"kind": "adamw", "beta2": 0.9}) == under({"kind": "adamw", "beta2": 0.99}) == hashed(entry)
    assert under({"kind": "muon"}) != hashed(entry)


def test_what_a_contender_cannot_have_in_common_is_known_to_its_entry(entry: LeaderboardEntry) -> None:
    assert (entry.not_kept, entry.as_published) == ((), False)
    plugins = {"gpt2": {"not_kept": ["output_bias"], "as_published": True}}
    marked = entry.model_copy(update={"environment": {"plugins": plugins}})
    assert (marked.not_kept, marked.as_published) == (("output_bias",), True)
