"""``python -m colorcnn``: the same as the command ``colorcnn``."""

import sys

from colorcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
