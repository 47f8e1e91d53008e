"""The SenBen student (arXiv 2604.08819): which things, how they are, who does what to whom, and under which tags.

The first open code that runs one. What the paper does not publish is ours, in configuration, and says so:
`docs/decisions.md`.
"""
