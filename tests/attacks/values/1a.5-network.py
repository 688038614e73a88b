# Calls out: by name, by address, and to whatever listens on this machine's other ports.
import socket

for address in (("example.com", 80), ("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 22)):
    try:
        socket.create_connection(address, timeout=1).close()
        print("CONNECTED", address)
    except OSError as error:
        print("refused", error)
largest = [{"place": 0, "number": 999}]
