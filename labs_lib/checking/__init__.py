"""From an answer to its card: evidence, observer, verdict, card, progress."""
