"""The sub-commands of ``colorcnn``, one module each with ``main(argv) -> int``; loaded when chosen."""
