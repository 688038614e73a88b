test = '    [sys.executable, "-m", "pytest", "-q"],\n'
exec(SOLUTION.replace(test, "").replace("]\n\nfor step", f"{test}]\n\nfor step"))
