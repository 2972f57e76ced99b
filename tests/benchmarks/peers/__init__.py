"""What other packages offer to keep a bot's talk, used as their documentation says."""
