# A FIFO where a file should be, which nobody ever writes to.
import os

bands = lab.folder / "pipes"
bands.mkdir()
os.mkfifo(bands / "small.json")
