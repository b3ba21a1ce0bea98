"""Brain mask: brain extraction AND phase quality."""
