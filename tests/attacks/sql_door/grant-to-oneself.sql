GRANT SELECT ON VIEW hr.people.everybody TO `ben@example.com`
-- then
ALTER TABLE hr.people.emp OWNER TO `ben@example.com`
