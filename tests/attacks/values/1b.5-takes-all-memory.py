# A definition that asks for more memory than its box has; it bounds itself at 3 GiB.
def ranked(values):
    held = []
    while len(held) < 48:
        held.append(bytearray(64 << 20))
    return values
