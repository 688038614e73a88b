"""Module 3, CI/CD: its checks, the project that learners work on, and tools.

`retail/` is the template of that project, data of this package and no part of it (there is no `labs_lib.cicd.retail` to import):

    pyproject.toml              the package `retail`, source layout; no configuration of tests yet
    conftest.py                 the fixture `spark`, on the lab's server or wherever Spark is; hypothesis without chance and clock
    src/retail/functions.py     clean_households, latest_lines, price_lines, add_products: from DataFrames to a DataFrame
    src/retail/pipeline.py      run(spark, source, target, day): bronze_lines, silver_lines, gold_daily in the schema `target`;
                                `python -m retail.pipeline --source ... --target ... --day ...` as a job calls it

Learners add `tests/` (exercise 3a), the workflow, the bundle and Terraform (3b). `lay_project()` of `project.py` lays it into the
folder `retail/` of a notebook's own; `TEMPLATE` there is its files as text by path, which a check takes for what the learner did not
hand in. `checks/` holds what no learner's box shows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "command_line": ["command_line"],
        "environments": ["lay_environments"],
        "legacy": ["lay_legacy"],
        "lesson": ["killed", "price_tag"],
        "project": ["TEMPLATE", "lay_project", "project_folder", "write"],
        "releases": ["lay_releases"],
        "teams": ["lay_teams"],
        "tries": ["lay_deployment", "lint_workflows", "rehearse_delivery", "try_workflows"],
    },
)
