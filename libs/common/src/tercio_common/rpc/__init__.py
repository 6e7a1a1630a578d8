"""The gRPC edge that every service shares."""
