exec(SOLUTION.replace('        sys.exit(f"release: stopped here, with exit code {code}")\n', '        print("release: stopped here, with exit code", code)\n        sys.exit(0)\n'))
