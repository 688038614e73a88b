CREATE TABLE hr.lab.ext USING delta LOCATION '/tmp'
