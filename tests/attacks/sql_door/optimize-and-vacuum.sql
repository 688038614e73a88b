OPTIMIZE hr.people.emp
-- then
VACUUM hr.people.emp RETAIN 0 HOURS DRY RUN
