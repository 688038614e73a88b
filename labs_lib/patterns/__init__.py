"""Module 2, patterns: its checks, feeds and tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cdc": ["create_auto_cdc_flow", "drop_auto_cdc_flow"],
        "checkpoint_log": ["batches", "forget_last_batch"],
        "circuit": ["CircuitOpen"],
        "deliveries": ["play_deliveries"],
        "expectations": [
            "ExpectationFailed",
            "expect",
            "expect_all",
            "expect_all_or_drop",
            "expect_all_or_fail",
            "expect_or_drop",
            "expect_or_fail",
            "rule_counts",
            "write_checked",
        ],
        "faults": ["killing", "rehearse"],
        "feeds.sales_events": ["sales_feed"],
        "flaky_service": ["FlakyService", "ManualClock", "Outage"],
        "streams": ["forget_stream", "run_stream"],
        "watermarks": ["replay"],
        "writers": ["interleave"],
    },
)
