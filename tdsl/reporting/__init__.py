"""What tdsl tells about a schedule or a tuning run: explanations as text, reports as pages."""
