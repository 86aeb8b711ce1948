"""Choosing how to train: options, machine, budget and memory become a configuration."""
