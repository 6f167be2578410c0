"""Hypothesis on a machine that others use too: few examples, no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("pgqueue", max_examples=30, deadline=None)
settings.load_profile("pgqueue")
