"""Part of tercio_common; see the modules."""
