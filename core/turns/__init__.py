"""The story of one answer, and all a door needs: start it, follow it by its id, stop it, ask again."""
