"""Tables of records, one file per kind of record."""
