"""Lightning's trainer with ``precision: auto`` and cuDNN's autotuning."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info

from colorcnn.parallel import parse_workers

Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed", "32", "16", "bf16"]


class Trainer(pl.Trainer):
    """Lightning's trainer, which also takes ``precision: auto``.

    Args:
        precision: one of Lightning's values that keep weights in float32, or ``auto``: ``bf16-mixed`` if the
            device has instructions for bfloat16, else ``32-true``. A CPU without them is 4 to 12 times slower
            with bfloat16. None is ``32-true``.
        accelerator: ``auto``, ``cpu``, ``gpu`` or another value of Lightning.
        benchmark: True to time cuDNN's algorithms for each new shape and use the fastest. The choice can
            change the last digits of a result, so the default is True unless ``deterministic`` is given.
        use_distributed_sampler: False by default, because the data modules divide their images among the
            processes, every image once.
        deterministic: True for deterministic algorithms. By default GPU results differ in their last digits
            between runs.
        parallel: where classical quantizers compute imitation targets and start palettes: a number of
            processes, ``dask://HOST:PORT`` or ``ray``; None for this process. The training is not affected.
        **options: all other options of Lightning's trainer.
    """

    def __init__(
        self,
        *,
        precision: Precision | int | None = None,
        accelerator: str = "auto",
        benchmark: bool | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        use_distributed_sampler: bool = False,
        parallel: str | None = None,
        **options: Any,
    ) -> None:
        self.workers = None if parallel is None else parse_workers(parallel)
        if precision == "auto":
            precision = native_precision(accelerator)
            rank_zero_info(f"precision: auto is {precision} on this device")
        super().__init__(
            precision=precision,  # type: ignore[arg-type]
            accelerator=accelerator,
            benchmark=not deterministic if benchmark is None else benchmark,
            deterministic=deterministic,
            use_distributed_sampler=use_distributed_sampler,
            **options,
        )

    @property
    def log_dir(self) -> str:
        """The run's folder: the first logger's folder if it has one on disk, else ``default_root_dir``.

        A collective call: all processes must read it.
        """
        own = self.loggers[0].log_dir if self.loggers else None
        return self.strategy.broadcast(own or self.default_root_dir)


def trainer_options() -> list[str]:
    """Return the names of the options that a configuration may give the trainer."""
    return list(inspect.signature(pl.Trainer).parameters)


def native_precision(accelerator: str = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Choose mixed bfloat16 if the device has instructions for it, else float32.

    Args:
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
    """
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if on_gpu and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = accelerator != "mps" and cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def cpu_has_bfloat16() -> bool:
    """Return True if this processor has instructions for bfloat16 (AVX512-BF16, AMX or ARM's BF16)."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
