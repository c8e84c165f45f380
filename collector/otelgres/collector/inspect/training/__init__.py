"""Training sets from recorded operations: labelled documents, split by session."""
