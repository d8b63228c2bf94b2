"""The file: its metadata, names of inputs, digest, and how it is opened.

Here lives what a reader needs: no scikit-learn, no skl2onnx, nothing that writes a graph.
"""
