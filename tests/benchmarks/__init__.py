"""What things cost, as commands that print ratios taken side by side in one run: `make bench`. Never timed tests."""
