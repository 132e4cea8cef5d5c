"""Run experiments from YAML files, stage by stage, and write their records."""
