"""The sub-commands of ``colorcnn``: a module or folder each, with ``main(argv)``, imported on demand."""
