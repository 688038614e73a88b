exec(SOLUTION.replace(r'EMAIL = r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$"', 'EMAIL = r"@"'))
