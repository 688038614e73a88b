"""Border control of the judge: whatever a learner's sandbox left behind is checked here before anything else
reads it.

files copies plain files out and reads JSON, delta checks a copied Delta table's log; the rules about plans are labs_lib's
(labs_lib.vetting), as a notebook's card goes by them too. Each returns only what may be used, or raises Rejected with a
sentence for the report.
"""

from __future__ import annotations

from grader.vetting.delta import TableLimits, check_table
from grader.vetting.files import copy_regular, read_json
from labs_lib.vetting.plans import TRUSTED_SERVER_CONF, check_conf, check_plan
from labs_lib.vetting.statements import check_command
from labs_lib.vetting.text import Rejected, parse_json

__all__ = [
    "TRUSTED_SERVER_CONF",
    "Rejected",
    "TableLimits",
    "check_command",
    "check_conf",
    "check_plan",
    "check_table",
    "copy_regular",
    "parse_json",
    "read_json",
]
