"""The one exception type that learners and instructors are meant to read, and other errors in one line."""


class LabsError(Exception):
    """A sentence that says what was wrong, where, and what to do about it."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: show the sentence alone, since the traceback would only show our code."""
        return [f"LabsError: {self}"]


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut to a readable length."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:240]
