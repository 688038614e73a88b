"""What every service stands on: store, clock, context, endpoints, errors, pages, the audit log's rows. It knows none of them."""
