SELECT * FROM `/tmp/emp`
