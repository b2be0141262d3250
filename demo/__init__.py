"""A whole life of leases against moto, an AWS on this machine: see __main__.py."""
