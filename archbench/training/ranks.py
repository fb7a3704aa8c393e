"""The processes that carry out a run together, and how they agree. One process alone is a group that costs nothing.

What is agreed here is small and lives on the host: counts, flags, a path. It goes over a gloo group of its own, also
where gradients go over NCCL, so that nothing waits for a device. Gradients and parameters are DeepSpeed's affair.
"""

import datetime
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

SETTLE_SECONDS = 2.0
"""How long a rank keeps a failure to itself: if it was a peer's death that made it fail, torchrun ends it meanwhile."""

_PATIENCE = datetime.timedelta(days=365)
"""Ranks wait for each other for as long as it takes; whoever started them watches that steps are taken."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process's place among `size` that train together. Every method is called by all of them at the same point."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """The place among those on this machine: which of its devices is this rank's."""
    group: Any = None
    """Of torch.distributed, on the host."""
    store: Any = None
    """Where ranks leave word for each other without waiting."""

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which holds the lease, writes the record and speaks to the driver."""
        return self.rank == 0

    def total(self, count: int) -> int:
        """The sum of everybody's `count`."""
        if self.size == 1:
            return count
        return int(self.summed(torch.tensor(count, dtype=torch.int64)))

    def summed(self, values: Tensor) -> Tensor:
        """The sum of everybody's `values`, in CPU memory; `values` themselves where there is nobody else."""
        if self.size == 1:
            return values
        sums = values.detach().to("cpu", copy=True)
        distributed.all_reduce(sums, group=self.group)
        return sums

    def joined(self, rows: Tensor) -> Tensor:
        """Everybody's `rows`, as many on each rank, one behind the other along the first axis; on their device."""
        if self.size == 1:
            return rows
        mine = rows.detach().to("cpu").contiguous()
        pieces = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(pieces, mine, group=self.group)
        return torch.cat(pieces).to(rows.device)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set anywhere."""
        if self.size == 1:
            return flags
        numbers = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(numbers, op=distributed.ReduceOp.MAX, group=self.group)
        return tuple(bool(number) for number in numbers.tolist())

    def told(self, text: str | None) -> str | None:
        """What rank 0 says; the others' `text` is not looked at."""
        if self.size == 1:
            return text
        content = b"" if text is None else b"=" + text.encode()
        length = torch.tensor(len(content), dtype=torch.int64)
        distributed.broadcast(length, src=0, group=self.group)
        buffer = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            buffer = torch.tensor(list(content), dtype=torch.uint8)
        if len(buffer):
            distributed.broadcast(buffer, src=0, group=self.group)
        received = bytes(buffer.tolist())
        return received[1:].decode() if received else None

    def all_told(self, text: str) -> Sequence[str]:
        """What each rank says, in order; all texts have the same length."""
        if self.size == 1:
            return [text]
        mine = torch.tensor(list(text.encode()), dtype=torch.uint8)
        texts = [torch.zeros_like(mine) for _ in range(self.size)]
        distributed.all_gather(texts, mine, group=self.group)
        return [bytes(one.tolist()).decode() for one in texts]

    def claim_failure(self) -> None:
        """Returns on the rank that is to say why the run failed, the first to ask, and ends the process of any other.

        Called by a rank that failed, by itself. Where it failed because a peer died, torchrun ends it meanwhile: the
        run has then not failed, but was lost, and goes on from its checkpoint.
        """
        if self.size == 1:
            return
        mine = str(self.rank)
        claimed = self.store.compare_set("archbench/failed", "", mine).decode() == mine
        time.sleep(SETTLE_SECONDS)
        if not claimed:
            time.sleep(SETTLE_SECONDS)
            os._exit(1)


ALONE = Ranks()


def join_ranks() -> Ranks:
    """This process's place in the group that torchrun's environment variables describe; `ALONE` without any."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    store, rank, size = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    group = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return Ranks(rank, size, local_rank, group, store)
