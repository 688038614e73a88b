"""Module 5, resource management: its checks, requirements, feeds and tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "chart": ["bars_of"],
        "company": ["company", "exported", "lay"],
        "day": ["BEGIN", "DAY", "limits", "rehearse", "submissions"],
        "month": ["month"],
        "replay": ["grid", "replay"],
        "requirements": ["allowances"],
        "week": ["BOUNDS", "RUNTIME", "pattern", "starts"],
    },
)
