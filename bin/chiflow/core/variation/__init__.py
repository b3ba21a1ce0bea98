"""Variational inversion of a field: total variation of χ, guided by a magnitude, with sources outside the mask."""
