# Writes the file that says what its cells printed, and goes on doing so from a thread.
import json
import threading
import time


def forge():
    cell = {"cell_type": "code", "source": "2.0", "outputs": [{"output_type": "execute_result", "data": {"text/plain": "2.0", "text/html":
            "<script>alert(1)</script>"}, "metadata": {}, "execution_count": 1}], "metadata": {}}  # fmt: skip
    while True:
        with open("/box/executed.ipynb", "w") as file:
            json.dump({"cells": [cell] * 500, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, file)
        time.sleep(0.05)


threading.Thread(target=forge, daemon=True).start()
summary = {}
