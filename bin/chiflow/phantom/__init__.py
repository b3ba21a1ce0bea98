"""Simulated scans with known truth: a whole head, an analytic sphere, and writers for DICOM and BIDS."""
