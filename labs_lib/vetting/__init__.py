"""Rules for what grading may make again of a learner's plans and statements: the card and the judge go by the same ones."""
