"""Dataset colour quantization: a training set in a few shared colours, and the store it is kept in.

Source: C. Yu et al., Dataset Color Quantization: A Training-Oriented Framework for Dataset-Level Compression.
The three stages are clusters of images of similar colours (:mod:`colorcnn.dcq.clusters`), a palette for
each from the pixels a classifier attends to (:mod:`colorcnn.dcq.palettes`), and its refinement by the edges
it keeps (:mod:`colorcnn.dcq.refine`).
"""
