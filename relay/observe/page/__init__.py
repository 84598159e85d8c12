"""The page that a person reads in a browser. It shows, and has nothing by which to change."""
