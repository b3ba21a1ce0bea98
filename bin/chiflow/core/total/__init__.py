"""The total field: sources inside and outside a mask told apart."""
