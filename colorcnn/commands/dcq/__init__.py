"""The command ``colorcnn dcq``: compress a training set by its colours, and keep it in a store."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command on its arguments and return the exit status."""
    from colorcnn.commands.dcq.run import main as run

    return run(argv)
