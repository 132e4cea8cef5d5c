"""Small coloured images of three classes."""

import numpy as np

CLASSES = ("cat", "dog", "owl")


def tinted(count: int, size: tuple[int, int] = (16, 16), seed: int = 0) -> np.ndarray:
    """Gradients in the tint of their class, with noise: (N, H, W, 3) uint8."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 1, size[0] * size[1]).reshape(*size, 1)
    tints = np.array([[250, 60, 40], [40, 200, 80], [60, 80, 240]])[np.arange(count) % 3]
    images = ramp * tints[:, None, None] + random.normal(0, 12, (count, *size, 3))
    return np.clip(images, 0, 255).astype(np.uint8)
