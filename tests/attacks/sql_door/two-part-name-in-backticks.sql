SELECT * FROM `people`.`EMP`
