"""What every notebook of the course imports; tools of measuring and of a module are in the rooms of these names.

Names load on first use: a command that needs no Spark never imports it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checking.checker": ["check"],
        "checking.progress_file": ["progress"],
        "engine.session": ["spark_conf"],
        "errors": ["LabsError"],
        "lab": ["open_lab"],
        "pipelines": ["run_pipeline", "write_pipeline"],
    },
)
