"""Training sets from recorded operations: documents with their labels, split so that no session is in both parts.

Refuses to know what is in a document.
"""
