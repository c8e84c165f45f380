"""Security of the listeners: addresses, certificates, tokens and files with secrets."""
