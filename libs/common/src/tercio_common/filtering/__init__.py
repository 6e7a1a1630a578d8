"""The filter language of AIP-160, over fields that each resource declares."""
