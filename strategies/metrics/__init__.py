"""What is asked of a metric system, and how an answer is computed from scraped series."""
