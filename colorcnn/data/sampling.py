"""Samplers for resumed and distributed training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from colorcnn.errors import UsageError


class EpochSampler(Sampler[int]):
    """A shuffle that depends only on the seed and the epoch, so that a resumed run gets the same batches.

    Lightning calls :meth:`set_epoch` before every epoch; your own training loop must call it, too.

    Several processes share an epoch: their batches t together are batch t of a single process with larger
    batches. A remainder smaller than the number of processes is left out.

    Args:
        length: number of positions.
        seed: any non-negative integer.
        rank: number of this process, counted from 0.
        processes: number of processes.
    """

    def __init__(self, length: int, seed: int = 0, rank: int = 0, processes: int = 1) -> None:
        self.length = length
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.processes

    def __iter__(self) -> Iterator[int]:
        mixed = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        order = torch.randperm(self.length, generator=generator).tolist()
        return iter(order[self.rank : len(self) * self.processes : self.processes])


class SharedBatches(Sampler[list[int]]):
    """The batches of one of several processes that share a set; every image is in one batch.

    All processes have the same number of batches, none empty, so that no process waits for another.

    Args:
        length: number of images, at least one for each process.
        batch_size: maximum number of images per batch; one more if there are hardly more images than
            processes.
        rank: number of this process, counted from 0.
        processes: number of processes.

    Raises:
        UsageError: there are fewer images than processes.
    """

    def __init__(self, length: int, batch_size: int, rank: int, processes: int) -> None:
        if length < processes:
            raise UsageError(f"{length} images cannot be shared by {processes} processes: use fewer devices.")
        self.positions = np.arange(rank, length, processes)
        self.count = min(-(-length // (batch_size * processes)), length // processes)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in np.array_split(self.positions, self.count))
