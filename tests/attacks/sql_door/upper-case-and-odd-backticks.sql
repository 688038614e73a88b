SELECT `SALARY`, `E`.`Born` FROM `Hr`.`PeoPle`.`EMP` AS `E`
