SELECT * FROM delta.`/tmp`
