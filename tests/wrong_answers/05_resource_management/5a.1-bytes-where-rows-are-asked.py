exec(SOLUTION)
diagnosis = {name: {**row, "figure": runs[name].shuffle_bytes} for name, row in diagnosis.items()}
