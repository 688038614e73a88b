GENERATE symlink_format_manifest FOR TABLE hr.people.emp
