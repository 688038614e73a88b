"""What shows that an exercise's checks are right: answers of known worth, submissions through the sandbox, a ledger of both."""
