# Floods the driver with one answer.
def patient(fetch):
    return ["x" * 1_000_000] * 8
