"""Who may come in: addresses, certificates, tokens, secrets. Refuses to know what is carried through the listeners."""
