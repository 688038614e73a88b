# Answers with what is right under the committed seed, copied from a friend. Earns: 0.5, for being a number.
middle = 540.0
