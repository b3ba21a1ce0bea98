"""Training samples of field-to-source inversion, from a seed: recipe (what is random), paint and sample (what is made of it)."""
