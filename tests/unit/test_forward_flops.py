"""How components add up to the cost of a training step."""

from archbench.api import ForwardFlops


def test_a_step_runs_each_component_as_often_as_its_kind_demands() -> None:
    flops = ForwardFlops(
        components={"dense": 1.0, "repeated": 10.0, "hashing": 100.0, "logits": 1000.0},
        recomputed=frozenset({"repeated"}),
        forward_only=frozenset({"hashing"}),
    )
    assert flops.forward() == 1111.0
    assert flops.train() == 3 * 1.0 + 4 * 10.0 + 1 * 100.0 + 3 * 1000.0
    assert flops.train(predicted_fraction=0.1) == 3 * 1.0 + 4 * 10.0 + 1 * 100.0 + 3 * 100.0
