"""Programs that take memory which no process shows as its own. Each ends by itself at a size that a machine bears."""

PAGE_TABLES = """
import mmap, time
size = 70 * 2**30  # 140 MiB of tables and no more, should nothing stop it
zeros = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
zeros.madvise(mmap.MADV_NOHUGEPAGE)
for place in range(0, size, 2 * 2**20):
    zeros[place]
print("mapped", flush=True)
time.sleep(30)
"""

SOCKETS = """
import socket, time
pairs = []
for _ in range(400):  # 170 MiB and no more, should nothing stop it
    pair = socket.socketpair()
    pairs.append(pair)
    for one in pair:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 2**20)
        try:
            while True:
                one.send(bytes(2**16))
        except BlockingIOError:
            pass
print("filled", flush=True)
time.sleep(30)
"""

TCP = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
pairs = []
for _ in range(60):  # 160 MiB and no more, should nothing stop it
    one = socket.create_connection(server.getsockname())
    pairs.append((one, server.accept()[0]))
    one.setblocking(False)
    sent = 0
    try:
        while sent < 2.6 * 2**20:
            sent += one.send(bytes(2**16))
    except BlockingIOError:
        pass
print("filled", flush=True)
time.sleep(30)
"""
