"""HTTP: requests in, commands and views asked, answers out."""
