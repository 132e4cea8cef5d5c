"""The command ``colorcnn evaluate``: measure how well a classifier recognises images of a few colours."""

from __future__ import annotations

from colorcnn.commands.messages import data_cures

CURES = {
    **data_cures(lambda name: f"--{name.replace('_', '-')}", originals="originals in a configuration"),
    "other-classes": "use a classifier that was trained on these data, or map its classes with --classes",
}


def main(argv: list[str]) -> int:
    """Run the command on its arguments and return the exit status."""
    from colorcnn.commands.evaluate.run import main as run

    return run(argv)
