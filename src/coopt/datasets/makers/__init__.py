"""What draws the demo and the offline suite, or unpacks them from packages that pip or npm brings."""
