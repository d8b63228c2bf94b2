"""Candidates: fitted models, and their scores on rows that they have not seen.

Here lives how models are made, cross-fitted and asked. What they are good for is not judged here.
This file stays empty: the reader of a bundle needs `names` alone, and loads no scikit-learn.
"""
