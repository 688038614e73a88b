SELECT * FROM -- dept \
emp
