SELECT * FROM system.session.emp
