"""Draw tables, figures and pages from records."""
