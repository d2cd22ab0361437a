"""The page that ``facediff report`` writes."""
