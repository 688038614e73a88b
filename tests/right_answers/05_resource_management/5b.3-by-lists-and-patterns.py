exec(
    SOLUTION.replace('one_of("17.3.x-scala2.13", "16.4.x-scala2.12")', '{"type": "regex", "pattern": r"(17\\.3\\.x-scala2\\.13|16\\.4\\.x-scala2\\.12)"}')
    .replace('"runtime_engine": fixed("STANDARD")', '"runtime_engine": one_of("STANDARD", defaultValue="STANDARD")')
    .replace('"data_security_mode": fixed("SINGLE_USER")', '"data_security_mode": one_of("SINGLE_USER", defaultValue="SINGLE_USER")')
    .replace('"spark_version": fixed("17.3.x-scala2.13")', '"spark_version": one_of("auto:latest-lts")')
    .replace('"num_workers": fixed(0)', '"num_workers": {"type": "range", "maxValue": 0, "isOptional": True, "defaultValue": 0}')
)
