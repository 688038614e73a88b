SELECT * FROM STREAM(hr.people.emp)
