"""What Dataset Color Quantization printed: accuracies of training on few colours, tested on originals.

Source: C. Yu et al., Dataset Color Quantization: A Training-Oriented Framework for Dataset-Level Compression;
tables are numbered as there. Pruning stands at the number of colours it is compared with: q bits a pixel for
1 - q / 24 of the images left out. Where tables disagree on one number, that of the first one is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

_PAPER = "Yu et al., Dataset Color Quantization"

Percent = tuple[float, ...]

CIFAR10: Mapping[str, Percent] = {
    # Tables 1 and 6
    "dcq": (79.90, 89.15, 91.02, 93.34, 94.39, 94.89),
    "median-cut": (70.91, 78.15, 81.02, 84.34, 86.39, 88.89),
    "octree": (57.91, 68.95, 75.12, 77.24, 80.29, 84.99),
    "colorcnn": (44.12, 59.48, 70.23, 80.34, 84.49, 86.89),
    "colorcnn-plus": (48.77, 49.66, 59.92, 68.34, 72.59, 82.89),
    # Table 1
    "random": (70.08, 77.04, 80.15, 84.38, 88.15),
    "entropy": (57.06, 64.51, 67.58, 74.59, 79.08),
    "el2n": (19.85, 21.31, 25.99, 67.06, 70.32),
    "aum": (21.35, 25.60, 29.58, 49.09, 57.84),
    "ccs-aum": (73.02, 75.01, 87.61, 88.97, 90.53),
    "ccs-forgetting": (73.02, 74.31, 86.66, 88.05, 90.93),
    "ccs-el2n": (73.17, 74.77, 87.01, 88.47, 89.81),
    # Table 2a
    "dcq (label)": (40.10, 51.08, 65.33, 74.05, 79.42, 81.99),
    "dcq (random)": (28.44, 39.65, 53.21, 61.33, 70.29, 75.52),
    "dcq (image)": (68.44, 79.15, 81.21, 84.33, 89.29, 90.52),
    "dcq (final)": (42.10, 53.78, 66.39, 75.15, 80.44, 83.93),
    # Table 2b
    "dcq (1 cluster)": (71.02, 84.52, 86.71, 89.49, 90.55, 91.01),
    "dcq (10 clusters)": (76.12, 87.95, 90.08, 92.14, 92.79, 93.69),
    "dcq (50 clusters)": (77.34, 87.23, 90.11, 92.53, 92.41, 93.05),
    "dcq (100 clusters)": (76.94, 86.61, 90.91, 91.83, 92.66, 93.11),
    "dcq (150 clusters)": (76.77, 86.21, 87.99, 90.04, 92.31, 93.58),
    # Table 2c
    "dcq (no attention)": (72.02, 84.02, 86.79, 89.09),
    "dcq (gradcam)": (75.05, 85.75, 88.02, 90.55),
    "dcq (rise)": (79.04, 88.91, 92.05, 93.32),
    "dcq (layercam)": (80.66, 89.71, 90.95, 93.09),
    # Table 7
    "dcq (no refinement)": (76.80, 87.05, 89.22, 91.33, 92.13),
    # Table 10
    "dcq (pca)": (50.11, 61.78, 70.23, 73.45, 78.47),
    "dcq (cooccurrence)": (70.15, 83.17, 85.49, 86.17, 90.75),
    "dcq (coherence)": (74.15, 86.97, 87.19, 89.77, 92.35),
    "dcq (histogram)": (75.95, 86.18, 88.49, 90.17, 91.45),
    # Table 11; middle1 has the numbers of the colour coherence vector
    "dcq (middle1)": (74.15, 86.97, 87.19, 89.77, 92.35),
    "dcq (middle2)": (69.15, 79.81, 81.09, 83.76, 87.75),
    # Table 12
    "dcq (kept 20 %)": (77.31, 87.79, 88.23, 90.55, 91.47),
    "dcq (kept 30 %)": (77.95, 88.18, 89.19, 92.17, 93.45),
    "dcq (kept 60 %)": (76.85, 87.17, 88.89, 91.97, 93.01),
    "dcq (kept 70 %)": (76.15, 86.97, 87.41, 90.99, 92.55),
    "dcq (kept 80 %)": (75.95, 87.17, 88.11, 89.98, 93.05),
}

CIFAR100: Mapping[str, Percent] = {
    "dcq": (38.44, 57.69, 65.02, 67.89, 69.05, 71.55),
    "median-cut": (29.96, 35.15, 42.02, 49.34, 51.39, 55.89),
    "octree": (27.93, 30.15, 39.02, 43.34, 47.39, 52.89),
    "colorcnn": (16.54, 22.81, 34.93, 38.64, 40.19, 45.39),
    "colorcnn-plus": (18.53, 19.52, 27.92, 29.34, 36.49, 40.99),
    "random": (36.68, 39.71, 42.19, 50.96, 57.36),
    "entropy": (22.16, 28.96, 29.77, 35.45, 41.83),
    "el2n": (7.51, 8.36, 10.36, 12.51, 15.51),
    "aum": (5.37, 8.77, 9.45, 11.83, 16.38),
    "ccs-aum": (28.24, 30.02, 52.16, 60.05, 63.19),
    "ccs-forgetting": (27.33, 31.12, 51.86, 60.45, 63.99),
    "ccs-el2n": (28.17, 32.07, 52.16, 60.75, 61.83),
}

TINY200: Mapping[str, Percent] = {
    "dcq": (36.44, 50.51, 52.12, 55.09, 57.61, 60.02),
    "median-cut": (26.58, 31.87, 38.74, 46.12, 48.15, 52.56),
    "octree": (24.63, 26.89, 34.78, 40.12, 44.16, 49.45),
    "colorcnn": (13.28, 19.42, 31.63, 35.21, 36.89, 42.11),
    "colorcnn-plus": (15.21, 16.38, 24.53, 26.12, 33.25, 37.55),
}

PRUNED_CIFAR10: Mapping[str, Percent] = {  # Table 4, from 2 bits
    "dcq (ccs-aum)": (70.73, 76.01, 79.53, 79.92),
    "random": (31.44, 46.19, 50.48, 55.13),
    "el2n": (13.11, 14.69, 16.36, 17.11),
    "ccs-aum": (46.25, 49.35, 59.69, 64.20),
}

PRUNED_CIFAR100: Mapping[str, Percent] = {
    "dcq (ccs-aum)": (30.94, 39.49, 40.22, 46.26),
    "random": (15.47, 19.18, 23.34, 27.03),
    "el2n": (4.33, 5.38, 6.94, 7.01),
    "ccs-aum": (20.11, 21.53, 22.58, 23.14),
}

TABLES: Mapping[str, tuple[str, float | None, int, Mapping[str, Percent]]] = {
    "dcq-cifar10-resnet18": (f"{_PAPER}, Tables 1, 2, 6, 7 and 10 to 12", 95.45, 1, CIFAR10),
    "dcq-cifar100-resnet18": (f"{_PAPER}, Tables 1 and 6", 78.21, 1, CIFAR100),
    "dcq-tiny200-resnet18": (f"{_PAPER}, Table 6", None, 1, TINY200),
    "dcq-pruned-cifar10-resnet18": (f"{_PAPER}, Tables 1 and 4", 95.45, 2, PRUNED_CIFAR10),
    "dcq-pruned-cifar100-resnet18": (f"{_PAPER}, Tables 1 and 4", 78.21, 2, PRUNED_CIFAR100),
}
"""Name -> source, accuracy of training on the originals, the bits that rows begin at, and the rows."""
