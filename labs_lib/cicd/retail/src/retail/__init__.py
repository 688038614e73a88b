"""Sales lines of a grocery retailer, from bronze to gold."""
