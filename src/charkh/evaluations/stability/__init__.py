"""How a model answers when it is asked again, otherwise, or with something a little off; and the certificate of it."""
