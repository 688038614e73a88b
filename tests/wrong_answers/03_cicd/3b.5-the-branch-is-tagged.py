exec(SOLUTION.replace('ticket["title"], merged)', 'ticket["title"], ticket["branch"])'))
