"""An application with one model for each way in which Django lays out tables."""
