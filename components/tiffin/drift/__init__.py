"""Drift: how far the values of columns have moved between two sets of rows, and whether that is more than chance.

`profiles` are counts of a column's values in bins, from TFDV's statistics or from rows. `distances` measures two profiles,
`chance` says what each distance would be without a change, and `comparison` decides about all columns together.
"""
