"""Generated quantities, and how the properties are searched."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from ...builders import LONG, SHORT
from ...searching import examples

# The same examples in every such run, on every machine, however slow it is.
steady = settings(derandomize=True, max_examples=examples(120), deadline=None, database=None)

quantities = st.integers(1, 4).map(lambda n: Decimal(n) / 2)
signed = st.integers(-6, 6).map(lambda n: Decimal(n) / 2)
sides = st.sampled_from((LONG, SHORT))
