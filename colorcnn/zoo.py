"""Old home of pretrained, classifiers, methods and api; import from these instead."""

from colorcnn.api import quantize
from colorcnn.classifiers import load_classifier
from colorcnn.methods import DEFAULTS, LEARNED_METHODS, AnyQuantizer, Method, load_quantizer, parse_method
from colorcnn.pretrained import (
    DEFAULT_CODEC,
    ENVIRONMENT,
    available,
    check_pretrained,
    find_checkpoint,
    find_device,
    from_pretrained,
    load_any,
    load_compressor,
    load_vector_compressor,
)

__all__ = [
    "DEFAULTS",
    "DEFAULT_CODEC",
    "ENVIRONMENT",
    "LEARNED_METHODS",
    "AnyQuantizer",
    "Method",
    "available",
    "check_pretrained",
    "find_checkpoint",
    "find_device",
    "from_pretrained",
    "load_any",
    "load_classifier",
    "load_compressor",
    "load_quantizer",
    "load_vector_compressor",
    "parse_method",
    "quantize",
]
