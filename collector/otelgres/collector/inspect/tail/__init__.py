"""What arrives, as it arrives: pushed by NOTIFY, read by a cursor that neither skips nor repeats. Knows no terminal."""
