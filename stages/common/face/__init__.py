"""Finding faces and moving them onto canonical coordinates."""
