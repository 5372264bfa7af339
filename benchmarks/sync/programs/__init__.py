"""One small program for each contender, which loads once and says what that took."""
