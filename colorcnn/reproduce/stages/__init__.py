"""Stages of experiments, one file per kind. A new kind is a file and an entry in :data:`KINDS`."""

from __future__ import annotations

from typing import cast

from colorcnn.errors import UsageError, quoted, unknown_name
from colorcnn.records import Record
from colorcnn.reproduce.experiment import Experiment, Stage
from colorcnn.reproduce.stages.base import MeasuringKind, StageKind
from colorcnn.reproduce.stages.dcq_build import DcqBuildStage
from colorcnn.reproduce.stages.dcq_judge import DcqJudgeStage
from colorcnn.reproduce.stages.dcq_recode import DcqRecodeStage
from colorcnn.reproduce.stages.evaluate import EvaluateStage
from colorcnn.reproduce.stages.fit import FitStage
from colorcnn.reproduce.stages.soft_hard import SoftHardStage
from colorcnn.reproduce.stages.training_curve import TrainingCurveStage
from colorcnn.reproduce.stages.vq_kodak import VQKodakStage
from colorcnn.reproduce.stages.vq_measure import VQMeasureStage
from colorcnn.reproduce.stages.vq_reference import VQReferenceStage

KINDS: dict[str, StageKind] = {
    "dcq-build": DcqBuildStage(),
    "dcq-judge": DcqJudgeStage(),
    "dcq-recode": DcqRecodeStage(),
    "evaluate": EvaluateStage(),
    "fit": FitStage(),
    "soft-hard": SoftHardStage(),
    "training-curve": TrainingCurveStage(),
    "vq-kodak": VQKodakStage(),
    "vq-measure": VQMeasureStage(),
    "vq-reference": VQReferenceStage(),
}


def kind_of(stage: Stage) -> StageKind:
    """Return the kind of a checked stage."""
    return KINDS[stage.kind]


def kind_of_record(record: Record) -> MeasuringKind:
    """Return the kind of stage that writes a record. Records of `colorcnn evaluate` count as ``evaluate``."""
    return cast(MeasuringKind, KINDS[record.config.get("kind", "evaluate")])


def check_stages(experiment: Experiment) -> None:
    """Check the stages of every scale against their kinds.

    Raises:
        UsageError: a kind or an option is unknown, or nothing is measured.
    """
    measuring = ", ".join(key for key, kind in KINDS.items() if isinstance(kind, MeasuringKind))
    for name, scale in experiment.scales.items():
        for variant in scale.variants:
            for stage in variant.stages:
                where = f"{experiment.path}, scale {name}, stage {quoted(stage.name)}"
                if stage.kind not in KINDS:
                    raise unknown_name(f"kind of stage in {where}:", stage.kind, KINDS)
                kind_of(stage).check(stage.options, where)
            if not any(isinstance(kind_of(stage), MeasuringKind) for stage in variant.stages):
                raise UsageError(
                    f"{experiment.path}, scale {name}: nothing is measured; add a stage of kind {measuring}."
                )
