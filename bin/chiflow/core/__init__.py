"""What every stage may use, and nothing else: conventions, physics, file contracts."""
