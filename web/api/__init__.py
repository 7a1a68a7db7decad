"""What the browser uses: JSON routes under `/api`, by session cookie."""
