"""Who may touch what, who gives way, and how disagreements end."""
