"""Who handed in: a folder's name as a person or a learning platform wrote it, and the id that nbgrader takes for it."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass

from labs_lib.vetting.text import shown

# nbgrader looks for submissions by glob and regular expression, and splits lists of ids at commas.
PLAIN = re.compile(r"[\w.@+-]{1,100}")
SLUG = 40  # characters of a name that an id made from it keeps
NAME = 100  # characters of a name that are shown and stored
# What Moodle puts behind a name: its number, and what the folder is for.
PLATFORM = re.compile(r"_\d+_assignsubmission_\w*$")


@dataclass(frozen=True)
class Student:
    """A learner: the folder below submitted/, the id for nbgrader, and the name, "" where the folder's name is the id."""

    folder: str
    id: str
    name: str = ""

    @property
    def first_and_last(self) -> tuple[str, str]:
        """The name in two, for the gradebook: "Lovelace, Ada" and "Ada Lovelace" both give Ada and Lovelace.

        Without commas, since nbgrader's export doesn't quote them, nor a sign at the start that a spreadsheet would take for a formula.
        """
        last, comma, first = self.name.partition(",")
        if not comma:
            first, _, last = self.name.rpartition(" ")
        first, last = (part.replace(",", " ").replace('"', "'").strip(" =+-@") for part in (first, last))
        return first, last


def student_of(folder: str) -> Student:
    """The learner whose folder has this name; the same name gives the same id in every run, and two names give two.

    A name that nbgrader takes is the id. Of others the id is what Latin letters and digits tell of it, with a digest of the whole.
    """
    if PLAIN.fullmatch(folder):
        return Student(folder, folder)
    letters = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    letters = re.sub(r"['`]", "", letters)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", letters)[:SLUG].strip("-") or "student"
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    name = unicodedata.normalize("NFC", PLATFORM.sub("", folder))
    return Student(folder, f"{slug}-{digest}", " ".join(shown(name, NAME).split()))
