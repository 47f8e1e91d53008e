"""Measuring systems on labelled pictures, so that a reviewer can believe it."""
