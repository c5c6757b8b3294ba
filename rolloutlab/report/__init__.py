"""What shows results: plots, and the page that holds them. The only place where matplotlib is imported."""
