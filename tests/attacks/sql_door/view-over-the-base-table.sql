SELECT * FROM everybody
