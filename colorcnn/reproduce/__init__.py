"""Experiments, each one a YAML file: run stage by stage, resumed where they stopped, kept as records."""
