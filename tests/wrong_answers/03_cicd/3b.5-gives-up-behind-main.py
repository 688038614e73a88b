exec(SOLUTION.replace('hub.update_branch(number)  # and look again: this is another commit', 'hub.close(number); return None'))
