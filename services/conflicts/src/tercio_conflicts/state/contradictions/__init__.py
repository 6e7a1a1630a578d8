"""Whether two decisions contradict each other: words, what they say, and how it compares. Pure and deterministic."""
