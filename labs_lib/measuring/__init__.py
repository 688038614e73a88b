"""What the engine did: Spark's figures and plans, Delta's logs and layout, and plots of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "delta_log": ["file_ranges"],
        "layout": ["files_opened"],
        "plots": ["BLUE", "GREEN", "GREY", "ORANGE", "bars", "figure", "plan_graph", "ranges", "show"],
        "reads": ["rows_read"],
        "spark_ui": ["measure", "outline"],
    },
)
