exec(
    SOLUTION.replace('git("revert", "--no-edit", "-m", "1", merged)', 'git("reset", "-q", "--hard", f"{merged}^")').replace(
        'through_the_gate(undo, f"Revert: {ticket[\'title\']}")', 'git("push", "-q", "--force", "origin", "HEAD:main")'
    )
)
