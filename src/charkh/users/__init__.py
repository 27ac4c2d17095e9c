"""Who may do what: users, service accounts, their tokens and roles, and the gatekeeper that every door asks."""
