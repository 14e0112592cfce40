"""What every room uses and that knows nothing of hands: files, pickles, devices, the console."""
