SELECT * FROM hr./* x */people.emp
