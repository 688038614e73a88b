# Leaves a process behind that ignores signals and writes for ever.
import os
import signal

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.execvp("sh", ["sh", "-c", "while :; do sleep 1; done # labs-attack-daemon"])
    os._exit(0)
largest = [{"place": 0, "number": 999}]
