"""The command ``colorcnn dcq``: compress a training set by its colours, and keep it in a store."""

from __future__ import annotations

from colorcnn.commands.messages import data_cures

CURES = {
    **data_cures(lambda name: f"--{name.replace('_', '-')}", originals="originals in a configuration"),
    "missing-dynamics": "record it with --trainer.callbacks+=TrainingDynamics while training",
    "one-size": "choose another with --image-size instead",
    "refinement-space": "choose that space, or leave the refinement out (--no-refine)",
    "smoothing": "take it without (--smoothing 0)",
    "unnamed-dynamics": "name it with --dynamics",
}


def main(argv: list[str]) -> int:
    """Run the command on its arguments and return the exit status."""
    from colorcnn.commands.dcq.run import main as run

    return run(argv)
