"""The one exception type that learners and instructors are meant to read."""


class LabsError(Exception):
    """A sentence that says what was wrong, where, and what to do about it."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: show the sentence alone, since the traceback would only show our code."""
        return [f"LabsError: {self}"]
