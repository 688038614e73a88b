SELECT * FROM `emp@v1`
