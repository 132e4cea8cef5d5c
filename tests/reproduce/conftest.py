"""A tiny folder of JPEG files, and an experiment that stores it in every way and trains on the stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "owl")
_TINTS = np.array([[250, 60, 40], [40, 200, 80], [60, 80, 240]])

EXPERIMENT = """
kind: experiment
title: Stores of hardly any images
source: no paper
sizes:
  cpu:
    time: seconds
    variables:
      copies: {batch_size: 12, val_size: 0.2}
      data:
        class_path: ImageFolder
        init_args: {path: FOLDER, train_limit: 40, batch_size: 12, val_size: 0.2}
      steps: {max_steps: 8, max_epochs: -1, val_check_interval: 8, check_val_every_n_epoch: null}
      task:
        model:
          class_path: ClassifierTask
          init_args: {network: resnet9, network_kwargs: {width: 4}, learning_rate: 0.02}
    stages:
      - name: full
        kind: fit
        config: ${task}
        data: ${data}
        trainer: [{callbacks: [{class_path: TrainingDynamics}]}, "${steps}"]
      - {name: files, kind: dcq-recode, data: "${data}", format: source}
      - name: ${row}-${bits}
        kind: dcq-build
        matrix:
          row:
            dcq: {settings: {clusters: 2, refinement: {steps: 5, batch: 4}}}
            octree: {settings: {method: octree}}
          bits: [1, 2]
        data: ${data}
        classifier: ${full}
        settings: ["${row.settings}", {bits: "${bits}"}]
      - name: half-2
        kind: dcq-build
        data: ${data}
        recipe: pixels
        settings: {bits: 2, clusters: 2, refine: false}
        prune: {method: ccs-aum, share: 0.5, dynamics: "${full.dynamics}"}
      - {name: jpeg-2, kind: dcq-recode, data: "${data}", format: jpeg, quality: 20}
      - name: random-2
        kind: dcq-recode
        data: ${data}
        format: source
        like: ${octree-2}
        prune: {method: random}
      - name: on-${stored}
        kind: fit
        matrix: {stored: [dcq-1, dcq-2, octree-1, octree-2, half-2]}
        config: ${task}
        data: [{class_path: QuantizedFolder, init_args: {root: "${${stored}}"}}, "${copies}"]
        trainer: ${steps}
      - name: on-${stored}
        kind: fit
        matrix: {stored: [jpeg-2, random-2]}
        config: ${task}
        data: [{class_path: RecodedFolder, init_args: {root: "${${stored}}", originals: FOLDER}}, "${copies}"]
        trainer: ${steps}
      - name: verdict
        kind: dcq-judge
        data: ${data}
        colors: [2, 4]
        original: {classifier: "${full}", store: "${files}"}
        rows:
          dcq: {stores: ["${dcq-1}", "${dcq-2}"], classifiers: ["${on-dcq-1}", "${on-dcq-2}"]}
          octree: {stores: ["${octree-1}", "${octree-2}"], classifiers: ["${on-octree-1}", "${on-octree-2}"]}
          dcq (ccs-aum): {stores: [null, "${half-2}"], classifiers: [null, "${on-half-2}"]}
          jpeg: {stores: [null, "${jpeg-2}"], classifiers: [null, "${on-jpeg-2}"]}
          random: {stores: [null, "${random-2}"], classifiers: [null, "${on-random-2}"]}
        published: dcq-cifar10-resnet18
"""


@pytest.fixture(scope="session")
def stored_experiment(tmp_path_factory) -> Path:
    """The experiment's file; its images lie beside it."""
    home = tmp_path_factory.mktemp("stored")
    random = np.random.default_rng(0)
    ramp = np.linspace(0.2, 1, 256).reshape(16, 16, 1)
    for part, count in (("train", 60), ("test", 12)):
        for number in range(count):
            folder = home / "toys" / part / CLASSES[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = ramp * _TINTS[number % 3] + random.normal(0, 12, (16, 16, 3))
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(folder / f"{number:03}.jpg", quality=90)
    path = home / "stored.yaml"
    path.write_text(EXPERIMENT.replace("FOLDER", str(home / "toys")))
    return path
