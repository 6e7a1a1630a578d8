"""What is done around every call, one concern a file; `tercio_common.rpc.server` explains their order."""
