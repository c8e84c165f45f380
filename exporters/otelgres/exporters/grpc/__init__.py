"""A gRPC client for unary calls, made on the HTTP/2 library `h2`."""
