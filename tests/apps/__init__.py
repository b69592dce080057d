"""Small apps that a test serves: what a developer may have around Push."""
