"""Feeds whose making says what must come of them: generators and truths. A box sees the files that arrive, and not this folder.

Each module has `files(seed)`: what arrives, as content by file name; pure functions of the seed, made from the course's tables.
"""
