# "_corrupt_record is filled, so it is no JSON": a typed schema can't tell a cut-off line from a wrong type.
exec(SOLUTION.replace("THEN 'wrong_type'", "THEN 'not_json'"))
