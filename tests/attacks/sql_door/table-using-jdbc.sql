CREATE TABLE hr.lab.src2 USING jdbc OPTIONS (url 'jdbc:x', dbtable 'emp')
