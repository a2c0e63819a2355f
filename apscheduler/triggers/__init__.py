"""Triggers: when a job runs."""

from __future__ import annotations
