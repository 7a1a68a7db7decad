"""What wraps every request, from the outside in: scope, headers, errors, session, forgery."""
