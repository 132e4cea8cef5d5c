"""Vector quantization for neural compression: sources, quantizers, entropy models, coder, references."""
