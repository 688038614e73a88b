SELECT * FROM Åmp, eмp
