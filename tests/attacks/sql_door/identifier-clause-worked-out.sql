SELECT * FROM IDENTIFIER('hr.people.' || 'emp')
