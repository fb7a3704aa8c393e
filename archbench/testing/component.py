"""What the conformance suites of several sorts of components have in common."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from archbench.contracts.config import ComponentConfig


class ConfigConformance:
    """Tests of a component's config, for suites that have no more to say of it; nobody needs to subclass this."""

    config: ClassVar[ComponentConfig]
    """The component under test, with its settings."""

    def test_config_survives_a_round_trip(self) -> None:
        """Specs, run ids and workers pass configs around as plain data; unknown keys are refused."""
        kind = type(self.config)
        assert kind.model_validate(self.config.model_dump()) == self.config, "model_dump loses something"
        assert kind.model_validate_json(self.config.model_dump_json()) == self.config, "model_dump_json loses something"
        with pytest.raises(ValidationError):
            kind.model_validate({**self.config.model_dump(), "no_such_setting": 1})


class OnOneThread:
    """Tests of small models, on one thread each."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        # Models this small gain nothing from threads, and on busy cores waiting threads cost ten times the work.
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)
