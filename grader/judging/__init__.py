"""From a submission to verdicts: run in a box, judged in another, compared with the solution under the same seed."""
