"""What the Azure client costs, beside the HTTP clients that one would use instead."""
