SELECT * FROM europeans WHERE assert_true(name <> concat('Zo', 'fia'), name) IS NULL
