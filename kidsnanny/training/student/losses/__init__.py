"""The losses that a student is trained with, each in a module of its own.

SenBen (arXiv 2604.08819) names them. It does not publish the formulas of its vocabulary-aware recall and of its
cross-entropy over orderings, nor any value: those here are this library's reading of the names.
"""
