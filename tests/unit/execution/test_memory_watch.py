"""Which worker goes when memory runs short: never one that keeps to what was expected of it."""

import os
import subprocess
import sys

from archbench.builtins.execution.memory_watch import Holding, held_bytes, most_in_excess, over_limit, reserve_bytes


def test_reserve_is_a_share_of_the_memory_within_bounds() -> None:
    assert reserve_bytes(2 * 2**30) == 256 * 2**20
    assert reserve_bytes(20 * 2**30) == 2**30
    assert reserve_bytes(2**40) == 4 * 2**30


def test_the_worker_furthest_beyond_its_expectation_goes() -> None:
    honest, greedy = Holding(0, 9 * 2**30, 10 * 2**30), Holding(1, 3 * 2**30, 500 * 2**20)
    found = most_in_excess([honest, greedy], 100 * 2**20)
    assert found is not None
    assert found[0] is greedy
    assert found[1].startswith("it held 3.0 GiB of memory where 500.0 MiB were expected, and this machine had 100")


def test_nobody_goes_where_all_keep_to_what_was_expected_or_nothing_was() -> None:
    assert most_in_excess([Holding(0, 9, 10), Holding(1, 50, 0)], 0) is None
    assert most_in_excess([], 0) is None


def test_limit_of_the_spec_holds_however_much_memory_is_left() -> None:
    assert over_limit([Holding(0, 10, 0)], 10) is None
    found = over_limit([Holding(0, 10, 0), Holding(1, 11, 0)], 10)
    assert found is not None
    assert found[0].slot == 1


def test_memory_of_what_a_process_started_counts() -> None:
    source = (
        "import sys; held = bytearray(100_000_000); held[::4096] = b'x' * len(held[::4096]); print(1, flush=True); "
    )
    child = subprocess.Popen([sys.executable, "-c", source + "sys.stdin.read()"], stdin=-1, stdout=-1)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 100_000_000 < held_bytes(child.pid) < 200_000_000
        assert held_bytes(os.getpid()) > held_bytes(child.pid)
        child.communicate()
    assert held_bytes(child.pid) == 0
