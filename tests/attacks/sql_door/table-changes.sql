SELECT * FROM table_changes('hr.people.emp', 0)
