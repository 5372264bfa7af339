"""The API's registration in Entra ID: what is wanted, what differs, and how it is changed."""
