"""Tables of records, one file a kind of record."""
