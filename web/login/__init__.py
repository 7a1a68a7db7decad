"""Ways into a session. Password now; the others join it here."""
