"""Exercise 5a's queries: what is slow and why, a skewed join, a table that prunes, a week of caching, and figures of tasks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "caching": ["cache_week", "replay_week"],
        "pruning": ["PARTITIONED", "events_of", "pruning_queries"],
        "reports": ["OLD_CLUSTER", "slow_reports"],
        "skew": ["CLUSTER", "offers_of", "scans_of", "skewed_join"],
        "tasks": ["largest_share", "operators", "spilled", "task_bytes"],
        "till": ["play_week"],
    },
)
