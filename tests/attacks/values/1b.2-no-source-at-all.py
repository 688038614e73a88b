# A function that no cell defines: it is made at run time, and its source with it.
import linecache

code = "def patient(fetch):\n    return fetch()\n"
linecache.cache["<ipython-input-99>"] = (len(code), None, code.splitlines(True), "<ipython-input-99>")
globals()["pat" + "ient"] = type(lambda: 0)(compile("0", "<ipython-input-99>", "eval"), {})
