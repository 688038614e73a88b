"""Build, run, judge and report: the instructors' and CI's side of the course."""

import sys

# jsonschema, which nbformat brings, would load it for addresses that no notebook's schema asks for: one to two seconds of CPU a process.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
