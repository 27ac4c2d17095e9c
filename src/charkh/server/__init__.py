"""What `charkh up` serves: the API with a policy on every route, endpoints, the scheduler, an overview page."""
