"""Training of the weights that ship with kidsnanny; needs the `train` extra."""
