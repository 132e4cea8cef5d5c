"""Entry point of ``python -m colorcnn``, equal to the command ``colorcnn``."""

import sys

from colorcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
