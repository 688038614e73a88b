# Asks the network for the answer.
def patient(fetch):
    import socket

    for address in (("127.0.0.1", 80), ("1.1.1.1", 53)):
        try:
            socket.create_connection(address, 1).close()
            return "CONNECTED"
        except OSError:
            continue
    return 0
