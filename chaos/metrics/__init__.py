"""How a drill measures: its own scraper, or a Prometheus."""
