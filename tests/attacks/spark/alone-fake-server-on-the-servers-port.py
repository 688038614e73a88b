# Takes the server's place: whoever connects to its port talks to the learner's code.
import os
import signal
import socket
import threading
import time

from labs_lib.engine import server

port = server.recorded().port
os.kill(server.recorded().pid, signal.SIGKILL)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
for _ in range(50):
    try:
        listener.bind(("127.0.0.1", port))
        break
    except OSError:
        time.sleep(0.1)
listener.listen()
threading.Thread(
    target=lambda: [listener.accept()[0].sendall(b"HTTP/1.1 200 OK\r\n\r\n") for _ in range(1000)],
    daemon=True,
).start()
slow_stage = {"stage": 1, "shuffle_bytes": 1, "share": 1.0}
