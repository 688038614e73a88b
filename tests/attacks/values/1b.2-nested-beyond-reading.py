# Answers with lists a thousand deep.
def patient(fetch):
    value = []
    for _ in range(1000):
        value = [value]
    return value
