"""Gets the Entra ID token that proves to the API who this app is."""
