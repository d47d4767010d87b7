"""What the web configuration asks for, in force: TLS, logins, client certificates, headers, rate limit."""
