# Calls the service once and says what it would have said after more calls.
def patient(fetch):
    try:
        return fetch()
    except ConnectionError as error:
        return getattr(error, "value", 500)
