# Calls the service from many threads at once, long after it has returned.
import threading


def patient(fetch):
    def ask():
        while True:
            try:
                fetch()
            except Exception:
                pass

    for _ in range(8):
        threading.Thread(target=ask, daemon=True).start()
    return 0
