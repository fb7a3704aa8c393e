"""One study that cannot be analysed costs the others nothing, and is named."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from archbench.analysis.studies import analyse_studies
from archbench.contracts.study import RunRequest, StudyAnalysis, StudyConfig, StudyLadder, StudyRuns
from archbench.host import default_host
from archbench.registry import Catalog, Registered
from archbench.testing.synthetic_studies import KAPLAN_SPEC, KaplanPlan, PublishedLaws, kaplan_records

RUNS = [run for run in kaplan_records(PublishedLaws(), KaplanPlan()) if run.study in ("data", "scan")]


class Broken(StudyConfig):
    """Divides by nothing."""

    kind: Literal["broken"] = "broken"

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        return iter(())

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        return StudyAnalysis((1 / len(runs.by_contender),))


@pytest.fixture
def kinds() -> Catalog[StudyConfig]:
    installed = default_host().registry.studies
    broken: Registered[StudyConfig] = Registered(Broken, "mine", "stranger", "1.0")
    return replace(installed, entries={**installed.entries, "broken": broken})


def found_in(spec: dict, kinds: Catalog[StudyConfig]) -> set[str]:
    return set(analyse_studies(RUNS, spec, kinds))


def test_a_strangers_study_that_fails_is_named_and_left_out(
    kinds: Catalog[StudyConfig], caplog: pytest.LogCaptureFixture
) -> None:
    spec = {"studies": {"data": KAPLAN_SPEC["studies"]["data"], "own": {"kind": "broken"}}}
    assert found_in(spec, kinds) == {"scan", "data"}
    assert "study own, kind 'broken' of plug-in 'mine', failed: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"kind": "gone"}, "study own is not analysed: study 'gone' is not registered"),
        ({"kind": "data_scan"}, "study own is not analysed: unique_tokens: is missing"),
        ({"kind": "isoflop", "budgets": ["many"]}, "study own is not analysed: budgets.0: "),
    ],
)
def test_a_study_whose_settings_cannot_be_read_is_named_and_left_out(
    section: dict, words: str, kinds: Catalog[StudyConfig], caplog: pytest.LogCaptureFixture
) -> None:
    assert found_in({"studies": {"own": section}}, kinds) == {"scan"}
    assert words in caplog.text
    assert "\n" not in caplog.messages[0]
