"""Executors run jobs."""
