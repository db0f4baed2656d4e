"""The report of an audit: a self-contained page, a table, a contact sheet, JSON."""
