"""The command ``colorcnn quantize``: reduce images to a few colours, as indexed PNG files."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command on its arguments and return the exit status."""
    from colorcnn.commands.quantize.run import main as run

    return run(argv)
