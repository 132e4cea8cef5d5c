"""The command ``colorcnn dcq``: compress a training set by its colours, and keep it in a store."""

from __future__ import annotations

from colorcnn.commands.messages import data_cures

CURES = {
    **data_cures(lambda name: f"--{name.replace('_', '-')}", originals="originals in a configuration"),
    "missing-dynamics": "record it with --trainer.callbacks+=TrainingDynamics while training",
    "one-size": "use --image-size for another size",
    "refinement-space": "use that space, or no refinement (--no-refine)",
    "smoothing": "use no smoothing (--smoothing 0)",
    "unnamed-dynamics": "pass it with --dynamics",
}


def main(argv: list[str]) -> int:
    """Run the command on its arguments and return the exit status."""
    from colorcnn.commands.dcq.run import main as run

    return run(argv)
