"""Module 1, optimization: its checks and tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"past": ["table_with_a_past"]})
