"""What people and programs see of a drill: the live view, the table, the journal, JUnit, Prometheus text, the page."""
