"""RFC 9110 without I/O: fields, dates, targets, validators, conditions, ranges, negotiation."""
