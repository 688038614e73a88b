# Two processes answer on one pipe.
def patient(fetch):
    import os

    os.fork()
    return 0
