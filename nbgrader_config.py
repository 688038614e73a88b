"""nbgrader's view of the course: solutions/ is its source step, modules/ its release step."""

import os
import sys
from pathlib import Path

import nbgrader.apps.api
import nbgrader.apps.autogradeapp
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import Execute

from grader.classroom.autograde import AutogradeAccepted, JudgeSubmission, RestoreMetadata
from grader.course.preprocessors import CleanMetadata, GradeByVerdict

# nbgrader's loader defines it; traitlets' function of that name is another one, whose settings are lost.
c = get_config()  # noqa: F821
root = Path(__file__).resolve().parent

# nbgrader makes its database by calling `alembic` by name, which a shell outside the environment cannot find.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

c.CourseDirectory.root = str(root)
c.CourseDirectory.course_id = "advanced-data-engineering"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "modules"
c.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "*.py"]

# No `raise`: Run All goes on past an unanswered step, and its check says what is missing.
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}

# A first cell may have to start Spark; seconds per cell, then seconds for the kernel to come up.
c.ExecutePreprocessor.timeout = 900
c.ExecutePreprocessor.startup_timeout = 120

# What was handed in is looked at first: the command and formgrader make their converter by this name.
nbgrader.apps.autogradeapp.Autograde = nbgrader.apps.api.Autograde = AutogradeAccepted

c.GenerateAssignment.preprocessors = [CleanMetadata, *GenerateAssignment.preprocessors.default()]
c.Autograde.sanitize_preprocessors = [RestoreMetadata, *Autograde.sanitize_preprocessors.default()]
c.JudgeSubmission.root = str(root)
_steps = Autograde.autograde_preprocessors.default()
_place = _steps.index(Execute)
# For trying a course out: notebooks run in this process's place, with all its rights, and are believed.
_trusting = os.environ.get("LABS_GRADE_TRUSTING") == "1"
_judging = [Execute, GradeByVerdict] if _trusting else [JudgeSubmission]
c.Autograde.autograde_preprocessors = [*_steps[:_place], *_judging, *_steps[_place + 1 :]]
