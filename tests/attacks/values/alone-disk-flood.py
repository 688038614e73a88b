# Writes until the disk is full, in many files.
import os

for number in range(10**6):
    with open(f"flood-{number}", "wb") as file:
        file.write(os.urandom(2**20) * 500)
