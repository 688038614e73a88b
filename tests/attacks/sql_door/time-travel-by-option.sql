SELECT * FROM emp WITH (`versionAsOf` = '1')
