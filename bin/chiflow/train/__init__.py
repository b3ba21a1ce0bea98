"""Training of the networks of other rooms on what `simulate` makes; no room imports this one."""
