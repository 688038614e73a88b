SELECT id, name FROM emp ORDER BY id
SELECT * FROM hr.people.emp WHERE region = 'asia'
SELECT emp.name, dept.dept FROM emp JOIN dept ON emp.id = dept.id
SELECT e.name, d.dept FROM hr.people.emp AS e LEFT JOIN hr.people.dept AS d USING (id)
SELECT hr.people.emp.name FROM hr.people.emp
SELECT region, count(*) AS people, avg(salary) AS pay FROM emp GROUP BY region HAVING count(*) > 0
SELECT region, count(*) FROM emp GROUP BY ALL ORDER BY ALL
SELECT name, row_number() OVER (PARTITION BY region ORDER BY id DESC NULLS LAST) AS place FROM emp
SELECT name, sum(id) OVER w FROM emp WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
SELECT * FROM emp QUALIFY row_number() OVER (PARTITION BY region ORDER BY id) = 1
WITH young AS (SELECT * FROM emp WHERE id > 1) SELECT count(*) FROM young
WITH a AS (SELECT id FROM emp), b(i) AS (SELECT id FROM a) SELECT * FROM b JOIN dept ON b.i = dept.id
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n
SELECT * FROM emp WHERE id IN (SELECT id FROM dept WHERE dept = 'it')
SELECT * FROM dept d WHERE EXISTS (SELECT 1 FROM emp e WHERE e.id = d.id)
SELECT * FROM dept d WHERE NOT EXISTS (SELECT 1 FROM everybody e WHERE e.id = d.id)
SELECT d.dept, (SELECT max(e.name) FROM emp e WHERE e.id = d.id) AS who FROM dept d
SELECT id FROM emp UNION ALL SELECT id FROM dept
SELECT id FROM dept EXCEPT SELECT id FROM emp
SELECT id FROM dept INTERSECT SELECT id FROM emp
SELECT DISTINCT region FROM emp LIMIT 10 OFFSET 0
SELECT * EXCEPT (salary) FROM emp
SELECT CASE WHEN id = 1 THEN 'one' ELSE 'more' END AS n, IF(id > 1, 'a', 'b'), coalesce(salary, 0) FROM emp
SELECT CAST(id AS STRING), id::BIGINT, try_cast(name AS INT) FROM emp
SELECT upper(name), substring(name, 1, 1), name || '!', length(trim(name)), concat_ws('-', name, region) FROM emp
SELECT regexp_replace(email, '^[^@]+', '***'), split(email, '@')[1], mask(name) FROM emp
SELECT sha2(email, 256), md5(email), base64(encode(email, 'UTF-8')) FROM emp
SELECT year(born), date_trunc('month', born), datediff(current_date(), born), date_add(born, 1), born + INTERVAL 1 DAY FROM emp
SELECT extract(YEAR FROM born), date_format(born, 'yyyy'), to_date('2024-01-01') FROM emp
SELECT count(DISTINCT region), count_if(id > 1), approx_count_distinct(id), collect_set(region), max_by(name, id) FROM emp
SELECT percentile_approx(id, 0.5), stddev(id), corr(id, id) FROM emp
SELECT count(*) FILTER (WHERE id > 1) FROM emp
SELECT region, dept, count(*) FROM emp JOIN dept USING (id) GROUP BY CUBE (region, dept)
SELECT * FROM emp PIVOT (count(name) FOR region IN ('asia', 'europe'))
SELECT * FROM dept UNPIVOT (v FOR k IN (dept))
SELECT explode(array(1, 2, 3)) AS x
SELECT id, x FROM emp LATERAL VIEW explode(array(1, 2)) t AS x
SELECT transform(array(1, 2), x -> x + 1), filter(array(1, 2), x -> x > 1), aggregate(array(1, 2), 0, (a, x) -> a + x)
SELECT named_struct('a', id).a, map('k', name)['k'], array(id)[0] FROM emp
SELECT to_json(struct(id, name)), get_json_object('{"a": 1}', '$.a'), from_json('{"a": 1}', 'a INT').a FROM emp
SELECT * FROM VALUES (1, 'a'), (2, 'b') AS t(i, s)
SELECT * FROM range(5)
SELECT /*+ BROADCAST(dept) */ emp.name FROM emp JOIN dept USING (id)
SELECT * FROM emp TABLESAMPLE (50 PERCENT)
FROM emp |> WHERE id > 1 |> SELECT name
TABLE dept
SELECT * FROM dept VERSION AS OF 1
SELECT * FROM everybody
SELECT * FROM europeans WHERE name LIKE 'A%'
SELECT * FROM mine
SELECT current_user(), is_account_group_member('staff'), is_member('juniors'), current_catalog(), current_schema(), current_date()
SELECT hr.rules.mask_salary(1), hr.rules.mask_date(DATE'2020-01-01')
SELECT * FROM emp /* a comment */ WHERE id = 1 -- and another
SELECT name FROM emp WHERE name = 'O\'Neil; DROP TABLE emp' OR name = "x"
SELECT * FROM IDENTIFIER('dept');
SHOW CATALOGS
SHOW SCHEMAS IN hr
SHOW TABLES IN hr.people
DESCRIBE TABLE hr.people.emp
SHOW GRANTS ON TABLE hr.people.emp
SELECT table_name, table_owner, comment FROM hr.information_schema.tables WHERE table_schema = 'people'
SELECT column_name, data_type, comment FROM hr.information_schema.columns WHERE table_name = 'emp' ORDER BY ordinal_position
SELECT t.table_name, count(*) FROM hr.information_schema.tables t JOIN hr.information_schema.columns c USING (table_catalog, table_schema, table_name) GROUP BY 1
SELECT * FROM system.information_schema.catalogs
SELECT grantee, privilege_type, inherited_from FROM hr.information_schema.table_privileges
SELECT * FROM hr.information_schema.column_tags UNION ALL SELECT * FROM hr.information_schema.column_tags
CREATE TABLE IF NOT EXISTS hr.lab.notes (id BIGINT GENERATED ALWAYS AS IDENTITY, note STRING NOT NULL COMMENT 'what', at DATE) COMMENT 'notes' TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
INSERT INTO hr.lab.notes (note, at) VALUES ('a', DATE'2024-01-01'), ('b', NULL)
INSERT INTO hr.lab.notes (note) SELECT name FROM hr.people.emp
UPDATE hr.lab.notes SET note = upper(note), at = current_date() WHERE note = 'a' AND id > 0
DELETE FROM hr.lab.notes WHERE note = 'b'
MERGE INTO hr.lab.notes n USING hr.people.emp e ON n.note = upper(e.name) WHEN MATCHED THEN UPDATE SET n.note = e.name WHEN NOT MATCHED THEN INSERT (note) VALUES (e.name)
ALTER TABLE hr.lab.notes ADD COLUMNS (extra STRING COMMENT 'more')
ALTER TABLE hr.lab.notes SET TBLPROPERTIES ('owner.team' = 'lab')
ALTER TABLE hr.lab.notes ALTER COLUMN note SET TAGS ('pii' = 'name')
ALTER TABLE hr.lab.notes SET TAGS ('domain' = 'lab', 'checked')
ALTER TABLE hr.lab.notes UNSET TAGS ('checked')
COMMENT ON TABLE hr.lab.notes IS 'what people noted'
COMMENT ON COLUMN hr.lab.notes.at IS 'the day'
ALTER TABLE hr.lab.notes ALTER COLUMN extra COMMENT 'nothing yet'
CREATE OR REPLACE TABLE hr.lab.pay AS SELECT region, avg(salary) AS pay FROM hr.people.emp GROUP BY region
CREATE OR REPLACE TABLE hr.lab.by_region (name STRING, region STRING) PARTITIONED BY (region)
INSERT OVERWRITE hr.lab.by_region SELECT name, region FROM hr.people.emp
CREATE OR REPLACE VIEW hr.lab.names (who COMMENT 'a name', r) COMMENT 'names' AS SELECT name, region FROM hr.people.emp WHERE is_account_group_member('staff')
SELECT who, r FROM hr.lab.names
CREATE OR REPLACE FUNCTION hr.lab.initial(name STRING) RETURNS STRING COMMENT 'the first letter' RETURN substring(name, 1, 1) || '.'
SELECT hr.lab.initial(name) FROM emp
CREATE OR REPLACE FUNCTION hr.lab.dept_of(person INT) RETURNS STRING RETURN SELECT max(dept) FROM hr.people.dept WHERE id = person
SELECT name, hr.lab.dept_of(id) FROM emp
GRANT SELECT ON TABLE hr.lab.notes TO `ana@example.com`
REVOKE SELECT ON TABLE hr.lab.notes FROM `ana@example.com`
ALTER TABLE hr.lab.by_region OWNER TO juniors
DROP VIEW hr.lab.names
DROP TABLE IF EXISTS hr.lab.notes
DROP FUNCTION IF EXISTS hr.lab.initial
