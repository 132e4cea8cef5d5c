"""Drawing and writing: records in, tables, figures and pages out."""
