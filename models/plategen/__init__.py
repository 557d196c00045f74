"""Made-up plates by GA 36-2018 and road scenes around them, for training."""
